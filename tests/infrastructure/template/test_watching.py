"""Alarms and the dashboard watch what the functions and AWS really publish."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.artifact.make import ROOT
from tests.e2e.docs.markdown import anchors
from tests.infrastructure.template.deployed import properties

SOURCE = "".join(path.read_text() for folder in ("shared", "functions") for path in (ROOT / folder).rglob("*.py"))
COUNTED = re.findall(r'\.(?:count|measure|measure_seconds)\(\s*"(\w+)"([^()]*)', SOURCE)
OURS = {name: frozenset(re.findall(r"(\w+)=", dimensions)) for name, dimensions in COUNTED}
"""Our metrics, with their dimensions beside `service`."""
AWS = {
    "AWS/ApiGateway": {"Count", "4xx", "5xx", "Latency"},
    "AWS/DynamoDB": {"ReadThrottleEvents", "WriteThrottleEvents"},
    "AWS/Lambda": {"Errors", "IteratorAge", "Throttles"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
}
"""Those of AWS's documentation that are used: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
and the like. An HTTP API's names are not a REST API's.
"""
MOST_IN_AN_EXPRESSION = 10


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    if "Metrics" not in alarm:
        return [alarm]
    return [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]


def every_metric(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for alarm in properties(template, "AWS::CloudWatch::Alarm").values():
        yield from metrics_of(alarm)


def test_alarms_watch_what_is_published(template: dict[str, Any]) -> None:
    """A metric by a wrong name or with other dimensions exists for CloudWatch, and stays silent for ever."""
    for metric in every_metric(template):
        dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
        if metric["Namespace"] != "CodatCustomers":
            assert metric["MetricName"] in AWS[metric["Namespace"]]
            continue
        assert dimensions.pop("service") == {"Ref": "AWS::StackName"}
        assert dimensions.keys() == OURS[metric["MetricName"]], metric


def test_metrics_of_two_stacks_are_told_apart(template: dict[str, Any]) -> None:
    for function in properties(template, "AWS::Lambda::Function").values():
        variables = function["Environment"]["Variables"]
        assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "CodatCustomers"


def test_alarms_reach_somebody_who_can_read_what_to_do(template: dict[str, Any]) -> None:
    """GIVEN an alarm THEN it goes to the topic, if there is one, and names a section of the runbook."""
    runbook = anchors((ROOT / "docs/operations.md").read_text())
    alarms = properties(template, "AWS::CloudWatch::Alarm")
    assert alarms
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"][0]["Fn::If"][0] == "HasAlarmTopic"
        _, _, anchor = alarm["AlarmDescription"].partition("docs/operations.md#")
        assert anchor.strip() in runbook, name
        assert len(metrics_of(alarm)) <= MOST_IN_AN_EXPRESSION


def test_what_a_person_must_act_on_has_an_alarm(template: dict[str, Any]) -> None:
    assert {(metric["Namespace"], metric["MetricName"]) for metric in every_metric(template)} == {
        ("AWS/ApiGateway", "5xx"),
        ("AWS/DynamoDB", "ReadThrottleEvents"),
        ("AWS/DynamoDB", "WriteThrottleEvents"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "IteratorAge"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("CodatCustomers", "ChangeNotPublished"),
        ("CodatCustomers", "DuplicateCompanies"),
        ("CodatCustomers", "Failed"),
        ("CodatCustomers", "ReconcileMessages"),
        ("CodatCustomers", "WebhookLag"),
        ("CodatCustomers", "WebhookRefused"),
        ("CodatCustomers", "WebhookUnreadable"),
    }


def test_a_wrong_signing_secret_sets_the_alarm_off(template: dict[str, Any]) -> None:
    """Of the reasons for refusing, those that Codat's own webhooks can meet; each is a reason that the code gives."""
    alarm = properties(template, "AWS::CloudWatch::Alarm")["RefusedWebhooksAlarm"]
    reasons = {one["Value"] for metric in metrics_of(alarm) for one in metric["Dimensions"] if one["Name"] == "reason"}
    assert reasons == {"mismatch", "timestamp", "no-secret"}
    assert all(f'"{reason}"' in SOURCE for reason in reasons)


def test_the_dashboard_shows_every_metric_of_ours(template: dict[str, Any]) -> None:
    [dashboard] = properties(template, "AWS::CloudWatch::Dashboard").values()
    body = dashboard["DashboardBody"]["Fn::Sub"]
    shown: dict[str, frozenset[str]] = {}
    for widget in json.loads(body)["widgets"]:
        for metric, *rest in widget["properties"]["metrics"]:
            if isinstance(metric, dict):
                for dimensions, name in re.findall(
                    r"\{CodatCustomers,([\w,]+)\} MetricName=\"(\w+)\"", metric["expression"]
                ):
                    shown[name] = frozenset(dimensions.split(",")) - {"service"}
            elif metric == "CodatCustomers":
                shown[rest[0]] = frozenset(rest[1:-1:2]) - {"service"}
            else:
                assert rest[0] in AWS[metric]
    assert shown.items() <= OURS.items()
    assert OURS.keys() - shown.keys() == {"CustomerAdopted", "CustomerDeleted", "WebhookAcknowledged"}


@pytest.mark.parametrize("metric", OURS)
def test_metrics_are_explained(metric: str) -> None:
    assert f"`{metric}`" in (ROOT / "docs/operations.md").read_text()
