"""The parts of the stack that post change events to an app that isn't on AWS."""

import json
import re
from typing import Any

import pytest
from moto.events.models import EventPattern

from local.aws.app_webhook import KEY_HEADER
from local.template import Template
from tests.e2e.artifact.make import ROOT
from tests.infrastructure.template.deployed import properties, statements

URL = {"AppWebhookUrl": "https://app.example.com/codat"}
DETAIL_TYPES = {path.stem for path in (ROOT / "docs/events").glob("*.json")}
PARTS = {
    "AppWebhookConnection",
    "AppWebhookDeadLetters",
    "AppWebhookDeadLettersAlarm",
    "AppWebhookDeadLettersPolicy",
    "AppWebhookDestination",
    "AppWebhookKey",
    "AppWebhookRole",
    "AppWebhookRule",
}


@pytest.fixture
def target(template: dict[str, Any]) -> dict[str, Any]:
    [rule] = properties(template, "AWS::Events::Rule").values()
    [target] = rule["Targets"]
    return dict(target)


def test_every_part_depends_on_the_parameter(template: dict[str, Any]) -> None:
    """Resources and outputs, and no other refers to them."""
    assert template["Conditions"]["HasAppWebhook"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AppWebhookUrl"}, ""]}]}
    assert template["Parameters"]["AppWebhookUrl"]["Default"] == ""
    conditional = {name for name, part in template["Resources"].items() if part.get("Condition") == "HasAppWebhook"}
    assert conditional == PARTS
    others = [part for name, part in template["Resources"].items() if name not in PARTS]
    assert "AppWebhook" not in json.dumps(others)
    outputs = {name: output for name, output in template["Outputs"].items() if "AppWebhook" in json.dumps(output)}
    assert set(outputs) == {"AppWebhookKeyArn", "AppWebhookDeadLettersUrl"}
    assert all(output["Condition"] == "HasAppWebhook" for output in outputs.values())
    assert outputs["AppWebhookKeyArn"]["Value"] == {"Ref": "AppWebhookKey"}


@pytest.mark.parametrize(("parameters", "number"), [({}, 0), (URL, 1)], ids=["without", "with"])
def test_the_template_has_the_parts_only_with_the_parameter(parameters: dict[str, str], number: int) -> None:
    template = Template.load(parameters=parameters)
    kinds = ("AWS::Events::Rule", "AWS::Events::Connection", "AWS::Events::ApiDestination", "AWS::SQS::QueuePolicy")
    assert [len(template.of_type(kind)) for kind in kinds] == [number] * len(kinds)
    assert ("AppWebhookKey" in template.of_type("AWS::SecretsManager::Secret")) == bool(number)


def test_the_stack_on_one_machine_ignores_the_parts() -> None:
    """Its routes, functions and table are the same with the parameter."""
    with_url, without = Template.load(parameters=URL), Template.load()
    assert with_url.routes == without.routes
    assert with_url.functions == without.functions
    assert with_url.table() == without.table()


def test_the_rule_selects_exactly_the_change_events(template: dict[str, Any]) -> None:
    """Those with a schema in docs/events, from our source, on the bus that they are published on."""
    [rule] = properties(template, "AWS::Events::Rule").values()
    assert rule["EventBusName"] == {"Ref": "EventBusName"}
    assert set(rule["EventPattern"]["detail-type"]) == DETAIL_TYPES
    assert "Name" not in rule
    pattern = EventPattern.load(json.dumps(rule["EventPattern"]))
    for detail_type in DETAIL_TYPES:
        assert pattern.matches_event({"source": "codat.customers", "detail-type": detail_type, "detail": {}})
    assert not pattern.matches_event({"source": "another", "detail-type": "customer.created", "detail": {}})
    assert not pattern.matches_event({"source": "codat.customers", "detail-type": "other", "detail": {}})


def test_the_app_gets_the_whole_event_for_24_hours(template: dict[str, Any], target: dict[str, Any]) -> None:
    """The body is the event as it is on the bus, as on one machine."""
    assert not {"Input", "InputPath", "InputTransformer"} & target.keys()
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 24 * 60 * 60, "MaximumRetryAttempts": 185}
    assert target["Arn"] == {"Fn::GetAtt": ["AppWebhookDestination", "Arn"]}
    [destination] = properties(template, "AWS::Events::ApiDestination").values()
    assert (destination["HttpMethod"], destination["InvocationEndpoint"]) == ("POST", {"Ref": "AppWebhookUrl"})
    assert destination["InvocationRateLimitPerSecond"] == 50
    assert destination["ConnectionArn"] == {"Fn::GetAtt": ["AppWebhookConnection", "Arn"]}


def test_the_key_is_generated_and_not_in_the_template(template: dict[str, Any]) -> None:
    [connection] = properties(template, "AWS::Events::Connection").values()
    secret = template["Resources"]["AppWebhookKey"]["Properties"]
    assert connection["AuthorizationType"] == "API_KEY"
    assert connection["AuthParameters"] == {
        "ApiKeyAuthParameters": {
            "ApiKeyName": KEY_HEADER,
            "ApiKeyValue": {"Fn::Sub": "{{resolve:secretsmanager:${AppWebhookKey}}}"},
        }
    }
    # 62 characters to choose from: more than 256 bits.
    assert secret["GenerateSecretString"] == {"PasswordLength": 48, "ExcludePunctuation": True}
    assert "SecretString" not in secret


def test_the_role_may_only_invoke_the_destination(template: dict[str, Any], target: dict[str, Any]) -> None:
    role = target["RoleArn"]["Fn::GetAtt"][0]
    [statement] = [statement for name, statement in statements(template) if name == role]
    assert (statement["Action"], statement["Resource"]) == ("events:InvokeApiDestination", target["Arn"])
    [trusted] = template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"Service": "events.amazonaws.com"}


def test_only_the_rule_may_send_dead_letters(template: dict[str, Any], target: dict[str, Any]) -> None:
    queue = {"Fn::GetAtt": ["AppWebhookDeadLetters", "Arn"]}
    assert target["DeadLetterConfig"] == {"Arn": queue}
    [policy] = properties(template, "AWS::SQS::QueuePolicy").values()
    [statement] = policy["PolicyDocument"]["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["AppWebhookRule", "Arn"]}}},
    }


def test_the_documented_header_is_the_templates() -> None:
    document = (ROOT / "docs/app-webhook.md").read_text()
    assert KEY_HEADER in document
    assert not re.search(r"x-(?!api-key)[a-z]+-key", document)
