"""Two stacks in one account, the first deployment, contradicting parameters, and optional parts of the stack."""

import json
import re
import tomllib
from typing import Any

import pytest

from local.template import Template, TemplateError
from tests.e2e.artifact.make import ROOT
from tests.infrastructure.template.deployed import (
    ALIAS,
    event_source,
    function_roles,
    properties,
    statements,
    transformed,
)

SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())
STAGES = ("dev", "staging", "prod")
MAX_METRICS_OF_AN_ALARM = 10
ENVIRONMENTS = {stage: SAMCONFIG[stage]["deploy"]["parameters"] for stage in STAGES}
# The property that names a resource, as CloudFormation's reference lists it for each type. A name is unique in an
# account and region; for IAM in an account, for S3 everywhere. None: the name is generated, or unique in a parent only.
NAMES = {
    "AWS::ApiGatewayV2::Api": None,
    "AWS::ApiGatewayV2::ApiMapping": None,
    "AWS::ApiGatewayV2::DomainName": "DomainName",
    "AWS::ApiGatewayV2::Stage": None,
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::CodeDeploy::Application": "ApplicationName",
    "AWS::CodeDeploy::DeploymentGroup": None,
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::ApiDestination": "Name",
    "AWS::Events::Connection": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": None,
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Alias": None,
    "AWS::Lambda::EventSourceMapping": None,
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Lambda::Permission": None,
    "AWS::Lambda::Version": None,
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::S3::BucketPolicy": None,
    "AWS::SQS::Queue": "QueueName",
    "AWS::SQS::QueuePolicy": None,
    "AWS::Scheduler::Schedule": "Name",
    "AWS::SecretsManager::ResourcePolicy": None,
    "AWS::SecretsManager::Secret": "Name",
}


def test_two_stacks_have_no_name_in_common(template: dict[str, Any]) -> None:
    """Every name is generated, or contains the stack's name, or is the operator's parameter."""
    for logical_id, resource in template["Resources"].items():
        name = resource.get("Properties", {}).get(NAMES[resource["Type"]] or "")
        assert (
            name is None
            or name in ({"Ref": "AWS::StackName"}, {"Ref": "DomainName"})
            or "${AWS::StackName}" in name["Fn::Sub"]
        ), logical_id


def test_environments_share_no_name_and_no_tag_key() -> None:
    """Reconcile searches Codat by the tag key: with a common key, one environment could adopt another's companies."""
    overrides = {
        name: dict(re.findall(r'(\w+)="([^"]*)"', ENVIRONMENTS[name]["parameter_overrides"])) for name in ENVIRONMENTS
    }
    tag_keys = [values["CodatTagKey"] for values in overrides.values()]
    assert len(set(tag_keys)) == len(tag_keys)
    assert {name: values["Stage"] for name, values in overrides.items()} == {name: name for name in ENVIRONMENTS}
    stacks = [SAMCONFIG[name]["global"]["parameters"]["stack_name"] for name in ENVIRONMENTS]
    assert len(set(stacks)) == len(stacks)


def test_nothing_is_deployed_without_an_environment(template: dict[str, Any]) -> None:
    assert SAMCONFIG.keys() == {"version", "default", *STAGES}
    assert "stack_name" not in str(SAMCONFIG["default"])
    assert [name for name, parameter in template["Parameters"].items() if "Default" not in parameter] == ["CodatTagKey"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environments_override_existing_parameters(template: dict[str, Any], environment: str) -> None:
    for name, value in re.findall(r'(\w+)="([^"]*)"', ENVIRONMENTS[environment]["parameter_overrides"]):
        parameter = template["Parameters"][name]
        assert value in map(str, parameter.get("AllowedValues", [value])), name
        assert re.fullmatch(parameter.get("AllowedPattern", ".*"), value), name


def test_a_new_account_can_deploy(template: dict[str, Any]) -> None:
    """Its limit of concurrent functions is 10, of which none can be reserved."""
    assert template["Parameters"]["WebhookConcurrency"]["Default"] == 0
    for function in properties(template, "AWS::Lambda::Function").values():
        reserved = function.get("ReservedConcurrentExecutions", {"Fn::If": ["ReservesForWebhooks"]})
        assert reserved["Fn::If"][0] == "ReservesForWebhooks"


# Contradicting parameters: each is refused before anything is created, with a sentence.


def violations(template: dict[str, Any], **given: str) -> list[str]:
    """Evaluate the template's rules as CloudFormation does, before a deployment."""
    values = {name: str(parameter.get("Default", "uid")) for name, parameter in template["Parameters"].items()}
    assert given.keys() <= values.keys()
    values |= given

    def holds(expression: Any) -> bool:
        [(function, arguments)] = expression.items()
        match function:
            case "Fn::Equals":
                first, second = (values[side["Ref"]] if isinstance(side, dict) else side for side in arguments)
                return bool(first == second)
            case "Fn::Not":
                return not holds(arguments[0])
        raise AssertionError(function)

    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if holds(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"])
    ]


TOPIC, CERTIFICATE = "arn:aws:sns:eu-west-1:123456789012:alarms", "arn:aws:acm:eu-west-1:123456789012:certificate/1"
TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/restored"
STREAM = f"{TABLE}/stream/2026-11-22T10:00:00.000"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"Stage": "prod"}, "AlarmTopicArn"),
        ({"Stage": "prod", "AlarmTopicArn": TOPIC, "AllowSandbox": "true"}, "AllowSandbox"),
        ({"DomainName": "api.example.com"}, "CertificateArn"),
        ({"CertificateArn": CERTIFICATE}, "DomainName"),
        ({"ExistingTableArn": TABLE}, "ExistingTableStreamArn"),
        ({"ExistingTableStreamArn": STREAM}, "ExistingTableArn"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_contradicting_parameters_are_refused(template: dict[str, Any], parameters: dict[str, str], words: str) -> None:
    [sentence] = violations(template, **parameters)
    assert words in sentence


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"Stage": "prod", "AlarmTopicArn": TOPIC},
        {"DomainName": "api.example.com", "CertificateArn": CERTIFICATE},
        {"ExistingTableArn": TABLE, "ExistingTableStreamArn": STREAM},
        {"AppWebhookUrl": "https://app.example.com:8443/codat/events?source=codat"},
    ],
)
def test_consistent_parameters_are_accepted(template: dict[str, Any], parameters: dict[str, str]) -> None:
    assert violations(template, **parameters) == []
    for name, value in parameters.items():
        assert re.fullmatch(template["Parameters"][name].get("AllowedPattern", ".*"), value), name


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("AlarmTopicArn", "alarms"),
        ("AppWebhookUrl", "http://app.example.com/codat"),
        ("AppWebhookUrl", "https://"),
        ("AppWebhookUrl", "https://app.example.com/a b"),
        ("AppWebhookUrl", "https://app.example.com/*"),
        ("CertificateArn", "arn:aws:iam::123456789012:server-certificate/x"),
        ("CodatTagKey", "a key with spaces"),
        ("DomainName", "https://api.example.com"),
        ("DomainName", "localhost"),
        ("ExistingTableArn", "codat-customers-dev-Table-1"),
        ("ExistingTableArn", STREAM),
        ("ExistingTableStreamArn", TABLE),
        ("KmsKeyArn", "alias/mine"),
        ("OperatorRoleArn", "arn:aws:iam::123456789012:user/operator"),
        ("PermissionsBoundary", "boundary"),
    ],
)
def test_malformed_parameters_are_refused(template: dict[str, Any], parameter: str, value: str) -> None:
    declaration = template["Parameters"][parameter]
    assert not re.fullmatch(declaration["AllowedPattern"], value)
    assert declaration["ConstraintDescription"]


# Optional parts.


def test_an_existing_table_replaces_the_stacks_own(template: dict[str, Any]) -> None:
    """The functions use its name, which is the last part of the ARN, and the event source its stream."""
    name = {"Fn::Select": [1, {"Fn::Split": ["/", {"Ref": "ExistingTableArn"}]}]}
    for function in properties(template, "AWS::Lambda::Function").values():
        assert function["Environment"]["Variables"]["TABLE_NAME"] == {"Fn::If": ["OwnsTable", {"Ref": "Table"}, name]}
    source = event_source(template, "PublishChangesFunction")
    assert source["EventSourceArn"]["Fn::If"][2] == {"Ref": "ExistingTableStreamArn"}
    assert template["Conditions"]["OwnsTable"] == {"Fn::Equals": [{"Ref": "ExistingTableArn"}, ""]}
    assert Template.load(parameters={"ExistingTableArn": TABLE}).of_type("AWS::DynamoDB::Table") == {}


def test_no_resource_needs_the_stacks_own_table(template: dict[str, Any]) -> None:
    """Every reference is inside `!If [OwnsTable, …]`: CloudFormation refuses one to a resource that it has left out."""

    def references(value: Any) -> list[str]:
        if isinstance(value, list):
            return [reference for item in value for reference in references(item)]
        if not isinstance(value, dict):
            return []
        if value.get("Fn::If", [""])[0] == "OwnsTable":
            return references(value["Fn::If"][2])
        if value == {"Ref": "Table"} or value.get("Fn::GetAtt", [""])[0] == "Table":
            return [json.dumps(value)]
        if "Fn::Sub" in value:
            return re.findall(r"\$\{Table\b[^}]*\}", json.dumps(value))
        return [reference for item in value.values() for reference in references(item)]

    assert template["Resources"]["Table"]["Condition"] == "OwnsTable"
    assert references(template["Resources"]) == references(template["Outputs"]) == []


def test_a_custom_domain_replaces_the_generated_endpoint(template: dict[str, Any]) -> None:
    [domain] = properties(template, "AWS::ApiGatewayV2::DomainName").values()
    [mapping] = properties(template, "AWS::ApiGatewayV2::ApiMapping").values()
    [api] = properties(template, "AWS::ApiGatewayV2::Api").values()
    assert domain["DomainNameConfigurations"][0]["SecurityPolicy"] == "TLS_1_2"
    assert mapping["ApiId"] == {"Ref": "Api"}
    assert template["Resources"][mapping["Stage"]["Ref"]]["Type"] == "AWS::ApiGatewayV2::Stage"
    assert '{"Fn::If": ["HasDomain", true, false]}' in json.dumps(api)
    for output in ("ApiUrl", "WebhookUrl"):
        assert template["Outputs"][output]["Value"]["Fn::If"][:2][0] == "HasDomain"


def test_every_role_has_the_boundary(template: dict[str, Any]) -> None:
    boundary = {"Fn::If": ["HasPermissionsBoundary", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}
    for name, role in properties(template, "AWS::IAM::Role").items():
        assert role["PermissionsBoundary"] == boundary, name


def test_only_the_functions_that_need_the_secret_and_the_operator_may_read_it(template: dict[str, Any]) -> None:
    """CloudFormation manages the secret without the two actions that are denied to everybody else."""
    [policy] = properties(template, "AWS::SecretsManager::ResourcePolicy").values()
    [statement] = policy["ResourcePolicy"]["Statement"]
    readers = {role for role, allowed in statements(template) if "secretsmanager:GetSecretValue" in allowed["Action"]}
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Action"] == ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"]
    operator, *functions, reading = statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    # It needs the secret only for the key that hashes ids.
    assert reading["Fn::If"][:2] == ["HashesIds", {"Fn::GetAtt": ["ReadCustomersFunctionRole", "Arn"]}]
    assert operator == {"Ref": "OperatorRoleArn"}
    assert {role["Fn::GetAtt"][0] for role in functions} == readers
    assert template["Resources"]["CodatSecretPolicy"]["Condition"] == "HasOperatorRole"


def test_a_key_of_ones_own_encrypts_table_and_secret(template: dict[str, Any]) -> None:
    """Every function gets the key, but only through the two services."""
    [table] = properties(template, "AWS::DynamoDB::Table").values()
    secret = properties(template, "AWS::SecretsManager::Secret")["CodatSecret"]
    policy = properties(template, "AWS::IAM::Policy")["KmsKeyPolicy"]
    [statement] = policy["PolicyDocument"]["Statement"]
    key = {"Ref": "KmsKeyArn"}
    assert table["SSESpecification"]["Fn::If"][1]["KMSMasterKeyId"] == secret["KmsKeyId"]["Fn::If"][1] == key
    assert (statement["Action"], statement["Resource"]) == ("kms:Decrypt", key)
    assert "kms:ViaService" in statement["Condition"]["StringEquals"]
    assert {role["Ref"] for role in policy["Roles"]} == function_roles(template)


# Releases.


def test_every_caller_invokes_the_alias(template: dict[str, Any]) -> None:
    """Routes, event sources and schedule: what invokes a function without a version would bypass a canary."""
    targets = [source["FunctionName"] for source in properties(template, "AWS::Lambda::EventSourceMapping").values()]
    targets += [permission["FunctionName"] for permission in properties(template, "AWS::Lambda::Permission").values()]
    targets += [schedule["Target"]["Arn"] for schedule in properties(template, "AWS::Scheduler::Schedule").values()]
    assert len(targets) > 15
    for target in targets:
        assert template["Resources"][target["Ref"]]["Type"] == "AWS::Lambda::Alias", target


def test_a_release_is_shifted_and_rolled_back_by_alarms(template: dict[str, Any]) -> None:
    groups = properties(template, "AWS::CodeDeploy::DeploymentGroup")
    assert len(groups) == len(properties(template, "AWS::Lambda::Function"))
    for name, group in groups.items():
        alarms = [alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]]
        assert alarms == ["ReleaseErrorsAlarm", "ReleaseBugsAlarm"], name
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        assert group["ServiceRoleArn"] == {"Fn::GetAtt": ["ReleaseRole", "Arn"]}
        update = template["Resources"][name.replace("DeploymentGroup", ALIAS)]["UpdatePolicy"]
        assert update["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"] == {"Ref": name}


def test_the_release_alarms_depend_on_no_function(template: dict[str, Any]) -> None:
    """An alias depends on its alarms. An alarm with a reference to the function's alias would make a circle."""
    for alarm in ("ReleaseErrorsAlarm", "ReleaseBugsAlarm"):
        assert "Function" not in re.findall(
            r'"(?:Ref|Fn::GetAtt)": \[?"(\w+)', json.dumps(template["Resources"][alarm])
        )
    errors = json.dumps(template["Resources"]["ReleaseErrorsAlarm"])
    watched = {
        logical_id
        for logical_id, function in properties(template, "AWS::Lambda::Function").items()
        if f'"{function["FunctionName"]["Fn::Sub"]}"' in errors
    }
    # The two that run once a day don't run during most releases, and CloudWatch allows ten metrics.
    daily = {"PlanReconcileFunction", "ReconcileFunction"}
    assert watched == properties(template, "AWS::Lambda::Function").keys() - daily
    assert errors.count('"MetricStat"') == len(watched) <= MAX_METRICS_OF_AN_ALARM


def test_codedeploy_may_only_release_this_stacks_functions(template: dict[str, Any]) -> None:
    """Another stack's name may begin with this one's."""
    [release] = properties(template, "AWS::IAM::Role")["ReleaseRole"]["Policies"]
    names = {
        resource["Fn::Sub"].partition(":function:")[2]
        for statement in release["PolicyDocument"]["Statement"]
        if "lambda:UpdateAlias" in statement["Action"]
        for resource in statement["Resource"]
    }
    functions = properties(template, "AWS::Lambda::Function").values()
    assert names == {f"{function['FunctionName']['Fn::Sub']}*" for function in functions}


def test_the_services_assume_roles_only_for_this_account(template: dict[str, Any]) -> None:
    """Both services document the condition. SAM writes the roles of functions and schedules."""
    for role in ("ReleaseRole", "AppWebhookRole"):
        [trusted] = properties(template, "AWS::IAM::Role")[role]["AssumeRolePolicyDocument"]["Statement"]
        assert trusted["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_a_function_is_published_if_its_code_changes() -> None:
    """SAM names a version by the function's code and properties. A new layer changes neither, so `make package` writes
    the layer's digest into the code.
    """

    def version(*contents: str) -> set[str]:
        names = properties(transformed(*contents), "AWS::Lambda::Version")
        return {name for name in names if name.startswith("CreateCompanyFunction")}

    assert version() != version("CreateCompanyFunction=other")
    assert version() == version("SharedLayer=other")


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(TemplateError, match="no parameter Nope"):
        Template.load(parameters={"Nope": "x"})
