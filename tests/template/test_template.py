"""What a deployment gets, read from the transformed template: what SAM adds counts as much as what is written."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.artifact.make import ROOT, make

WEBHOOK = "POST /webhooks/codat"
ROUTES = {
    "POST /customers": "CreateCompanyFunction",
    "GET /customers/{customerId}": "ReadCustomersFunction",
    "POST /customers/{customerId}/connections": "CreateConnectionFunction",
    "GET /customers/{customerId}/connections": "ReadCustomersFunction",
    "GET /customers/{customerId}/connections/{connectionId}": "ReadCustomersFunction",
    "POST /customers/{customerId}/connections/{connectionId}/unlink": "UnlinkConnectionFunction",
    "GET /platforms": "ReadCustomersFunction",
    WEBHOOK: "CodatWebhookFunction",
}
ENVIRONMENT = {
    "TABLE_NAME",
    "CODAT_SECRET_ID",
    "CODAT_BASE_URL",
    "CODAT_TAG_KEY",
    "PLATFORM_KEYS",
    "ALLOW_SANDBOX",
    "TIMELINE_DAYS",
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_LOG_LEVEL",
}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    make(".sam/.synced")
    transformed: dict[str, Any] = json.loads(
        subprocess.run(
            [".sam/bin/python", "-m", "tests.template.transform"],
            cwd=ROOT,
            env={"PATH": os.defpath, "AWS_DEFAULT_REGION": "us-east-1"},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )
    return transformed


def properties(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def operations(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every operation of every API by its route."""
    return {
        f"{method.upper()} {path}": operation
        for api in properties(template, "AWS::ApiGatewayV2::Api").values()
        for path, methods in api["Body"]["paths"].items()
        for method, operation in methods.items()
    }


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in properties(template, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_routes_lead_to_their_functions(template: dict[str, Any]) -> None:
    """The API answers exactly the routes of the documentation, each by the function meant for it."""
    functions = {
        route: re.findall(r"\$\{(\w+)\.Arn\}", operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"])
        for route, operation in operations(template).items()
    }

    assert functions == {route: [function] for route, function in ROUTES.items()}


def test_only_the_webhook_is_open(template: dict[str, Any]) -> None:
    """A caller without IAM permission reaches nothing but the webhook, which checks Codat's signature."""
    [api] = properties(template, "AWS::ApiGatewayV2::Api").values()
    scheme = api["Body"]["components"]["securitySchemes"]["AWS_IAM"]
    security = {route: operation.get("security") for route, operation in operations(template).items()}

    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert security.pop(WEBHOOK) == [{"NONE": []}]
    assert security
    assert all(required == [{"AWS_IAM": []}] for required in security.values()), security


def test_nothing_is_reachable_but_through_the_api(template: dict[str, Any]) -> None:
    """No function URL, and API Gateway is all that may invoke a function."""
    assert not properties(template, "AWS::Lambda::Url")
    for permission in properties(template, "AWS::Lambda::Permission").values():
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert permission["SourceArn"]


def test_permissions_have_no_wildcard(template: dict[str, Any]) -> None:
    """Every statement names its actions and its resources; the table only by the keys the function works on."""
    found = list(statements(template))
    assert found
    for role, statement in found:
        assert statement["Effect"] == "Allow"
        assert all("*" not in action for action in as_list(statement["Action"])), role
        for resource in as_list(statement["Resource"]):
            assert isinstance(resource, dict), f"{role} names {resource} instead of a resource of the stack"
        if any(action.startswith("dynamodb:") for action in as_list(statement["Action"])):
            assert statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"], role


def test_roles_have_no_other_policies(template: dict[str, Any]) -> None:
    """Beside their own statements, functions may only write logs."""
    for name, role in properties(template, "AWS::IAM::Role").items():
        managed = [str(arn) for arn in role.get("ManagedPolicyArns", [])]
        assert [arn.rpartition("/")[2] for arn in managed] == ["AWSLambdaBasicExecutionRole"], name


def test_nobody_may_scan(template: dict[str, Any]) -> None:
    """A Scan carries no keys, so LeadingKeys would not stop it."""
    for _, statement in statements(template):
        assert not {"dynamodb:Scan", "dynamodb:PartiQLSelect"} & set(as_list(statement["Action"]))


def test_logs_expire(template: dict[str, Any]) -> None:
    """Every function and the API log to a group of the stack with a retention: a group made by Lambda has none."""
    groups = properties(template, "AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())
    functions = properties(template, "AWS::Lambda::Function")
    assert functions
    for name, function in functions.items():
        assert function["LoggingConfig"]["LogGroup"]["Ref"] in groups, name
    for stage in properties(template, "AWS::ApiGatewayV2::Stage").values():
        assert stage["AccessLogSettings"]["DestinationArn"]["Fn::GetAtt"][0] in groups


def test_access_log_is_json_without_what_callers_send(template: dict[str, Any]) -> None:
    """One line of JSON a request, by route: a path holds ids, and a log of them outlives a deleted customer."""
    [stage] = properties(template, "AWS::ApiGatewayV2::Stage").values()
    line = stage["AccessLogSettings"]["Format"]

    assert json.loads(line)["route"] == "$context.routeKey"
    assert "\n" not in line
    assert "$context.path" not in line


def test_functions_run_alike(template: dict[str, Any]) -> None:
    """Lambda's Python is the one that byte code is compiled for, and no function outlives API Gateway's 30 s."""
    for name, function in properties(template, "AWS::Lambda::Function").items():
        assert function["Runtime"] == "python3.13", name
        assert function["Timeout"] < 30, name
        assert function["Architectures"] == [{"Ref": "Architecture"}], name
        assert set(function["Environment"]["Variables"]) == ENVIRONMENT, name


def test_secrets_are_in_no_variable_and_not_overwritten(template: dict[str, Any]) -> None:
    """CloudFormation writes a secret's value when its text changes: a changed placeholder would erase the real one."""
    [secret] = properties(template, "AWS::SecretsManager::Secret").values()
    assert secret["SecretString"] == '{"apiKey": "", "webhookSecrets": []}'
    for parameter in template["Parameters"]:
        assert not re.search(r"api.?key|secret|token|password", parameter, re.IGNORECASE), parameter


def test_data_outlives_the_stack(template: dict[str, Any]) -> None:
    for kind in ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"):
        for resource in template["Resources"].values():
            if resource["Type"] == kind:
                assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    [table] = properties(template, "AWS::DynamoDB::Table").values()
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}


def test_layer_is_built_for_the_functions_processor() -> None:
    """SAM builds a layer for x86_64 unless told, which kills every import of a compiled library on arm64."""
    source = (ROOT / "template.yaml").read_text()
    layer = source[source.index("  SharedLayer:\n") :].partition("\n\n")[0]
    assert "BuildArchitecture: !Ref Architecture" in layer
    assert "CompatibleArchitectures: [!Ref Architecture]" in layer


def test_make_builds_for_the_templates_processor(template: dict[str, Any]) -> None:
    """`make package` and then `sam deploy`, both without a word about processors, agree."""
    default = template["Parameters"]["Architecture"]["Default"]
    assert re.search(r"^ARCH := (\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1] == default  # type: ignore[index]
