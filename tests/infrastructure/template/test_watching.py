"""Alarms and the dashboard use metrics that the functions and AWS publish."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.artifact.make import ROOT
from tests.e2e.docs.markdown import anchors
from tests.infrastructure.template.deployed import properties

SOURCE = "".join(path.read_text() for folder in ("shared", "functions") for path in (ROOT / folder).rglob("*.py"))
METRIC_CALLS = re.findall(r'\.(?:count|count_many|measure|measure_seconds)\(\s*"(\w+)"([^()]*)', SOURCE)
OWN_METRICS = {name: frozenset(re.findall(r"(\w+)=", dimensions)) for name, dimensions in METRIC_CALLS}
"""The project's metrics, with their dimensions except `service`."""
AWS_METRICS = {
    "AWS/ApiGateway": {"Count", "4xx", "5xx", "Latency"},
    "AWS/DynamoDB": {"ReadThrottleEvents", "WriteThrottleEvents"},
    "AWS/Lambda": {
        "DroppedEventCount",
        "Errors",
        "IteratorAge",
        "OnFailureDestinationDeliveredEventCount",
        "Throttles",
    },
    "AWS/S3": {"NumberOfObjects"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
}
"""The metrics in use, as AWS documents them. An HTTP API's have other names than a REST API's:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
"""
MAX_METRICS_OF_AN_ALARM = 10


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    if "Metrics" not in alarm:
        return [alarm]
    return [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]


def alarm_metrics(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for alarm in properties(template, "AWS::CloudWatch::Alarm").values():
        yield from metrics_of(alarm)


def test_alarms_use_published_metrics(template: dict[str, Any]) -> None:
    """CloudWatch accepts a wrong name or dimension, and the alarm would never fire."""
    for metric in alarm_metrics(template):
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}
        if metric["Namespace"] != "CodatCustomers":
            assert metric["MetricName"] in AWS_METRICS[metric["Namespace"]]
            continue
        assert dimensions.pop("service") == {"Ref": "AWS::StackName"}
        assert dimensions.keys() == OWN_METRICS[metric["MetricName"]], metric


def test_metrics_of_two_stacks_have_different_dimensions(template: dict[str, Any]) -> None:
    for function in properties(template, "AWS::Lambda::Function").values():
        variables = function["Environment"]["Variables"]
        assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "CodatCustomers"


def test_alarms_are_sent_to_the_topic_and_link_to_the_runbook(template: dict[str, Any]) -> None:
    runbook = anchors((ROOT / "docs/operations.md").read_text())
    alarms = properties(template, "AWS::CloudWatch::Alarm")
    assert alarms
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"][0]["Fn::If"][0] == "HasAlarmTopic"
        assert alarm["OKActions"] == alarm["AlarmActions"]
        _, _, anchor = alarm["AlarmDescription"].partition("docs/operations.md#")
        assert anchor.strip() in runbook, name
        assert len(metrics_of(alarm)) <= MAX_METRICS_OF_AN_ALARM


def test_metrics_that_need_action_have_an_alarm(template: dict[str, Any]) -> None:
    assert {(metric["Namespace"], metric["MetricName"]) for metric in alarm_metrics(template)} == {
        ("AWS/ApiGateway", "5xx"),
        ("AWS/DynamoDB", "ReadThrottleEvents"),
        ("AWS/DynamoDB", "WriteThrottleEvents"),
        ("AWS/Lambda", "DroppedEventCount"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "IteratorAge"),
        ("AWS/Lambda", "OnFailureDestinationDeliveredEventCount"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/S3", "NumberOfObjects"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("CodatCustomers", "ChangeNotPublished"),
        ("CodatCustomers", "CodatCall"),
        ("CodatCustomers", "CodatQuotaRemainingPercent"),
        ("CodatCustomers", "DriftFound"),
        ("CodatCustomers", "DuplicateCompanies"),
        ("CodatCustomers", "Failed"),
        ("CodatCustomers", "ReconcileMessages"),
        ("CodatCustomers", "WebhookLag"),
        ("CodatCustomers", "WebhookRefused"),
        ("CodatCustomers", "WebhookUnreadable"),
    }


def test_a_wrong_signing_secret_causes_an_alarm(template: dict[str, Any]) -> None:
    """The alarm counts the reasons for which Codat's own webhooks can be refused, as the code names them."""
    alarm = properties(template, "AWS::CloudWatch::Alarm")["RefusedWebhooksAlarm"]
    dimensions = [dimension for metric in metrics_of(alarm) for dimension in metric["Dimensions"]]
    reasons = {dimension["Value"] for dimension in dimensions if dimension["Name"] == "reason"}
    assert reasons == {"mismatch", "timestamp", "no-secret"}
    assert all(f'"{reason}"' in SOURCE for reason in reasons)


def test_the_dashboard_shows_the_projects_metrics(template: dict[str, Any]) -> None:
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
                assert rest[0] in AWS_METRICS[metric]
    assert shown.items() <= OWN_METRICS.items()
    assert OWN_METRICS.keys() - shown.keys() == {"CustomerAdopted", "CustomerDeleted", "WebhookAcknowledged"}


@pytest.mark.parametrize("metric", OWN_METRICS)
def test_metrics_are_documented(metric: str) -> None:
    assert f"`{metric}`" in (ROOT / "docs/operations.md").read_text()
