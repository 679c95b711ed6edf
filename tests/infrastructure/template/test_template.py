"""The resources of a deployment, read from the transformed template, with everything that SAM adds."""

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from moto.events.models import EventPattern

from local.template import Template
from shared.runtime.settings import PageSettings, WebhookSettings, read
from tests.e2e.artifact.make import ROOT
from tests.infrastructure.template.deployed import (
    ALIAS,
    actions_of,
    as_list,
    event_source,
    function_roles,
    operations,
    properties,
    statements,
)

WEBHOOK = "POST /webhooks/codat"
INVITATION_PAGE = [f"{method} /connect/{{token}}" for method in ("GET", "HEAD", "POST")]
PUBLIC = {WEBHOOK, *INVITATION_PAGE}
ROUTES = {
    "POST /customers": "CreateCompanyFunction",
    "GET /customers": "ReadCustomersFunction",
    "GET /customers/{customerId}": "ReadCustomersFunction",
    "PATCH /customers/{customerId}": "ChangeCustomerFunction",
    "DELETE /customers/{customerId}": "DeleteCustomerFunction",
    "POST /customers/{customerId}/link": "CreateLinkFunction",
    "POST /customers/{customerId}/access-token": "CreateLinkFunction",
    "POST /customers/{customerId}/connections": "CreateConnectionFunction",
    "GET /customers/{customerId}/connections": "ReadCustomersFunction",
    "GET /customers/{customerId}/connections/{connectionId}": "ReadCustomersFunction",
    "DELETE /customers/{customerId}/connections/{connectionId}": "DeleteCustomerFunction",
    "POST /customers/{customerId}/connections/{connectionId}/link": "CreateLinkFunction",
    "POST /customers/{customerId}/connections/{connectionId}/unlink": "UnlinkConnectionFunction",
    "GET /customers/{customerId}/connections/{connectionId}/events": "ReadCustomersFunction",
    "POST /customers/{customerId}/invitations": "CreateConnectionFunction",
    "GET /customers/{customerId}/invitations": "ReadCustomersFunction",
    "DELETE /customers/{customerId}/invitations/{invitationId}": "DeleteCustomerFunction",
    "GET /connections": "ReadCustomersFunction",
    "GET /platforms": "CreateConnectionFunction",
    WEBHOOK: "CodatWebhookFunction",
    **dict.fromkeys(INVITATION_PAGE, "OpenInvitationFunction"),
}
# Functions without a route, with their event sources.
EVENT_SOURCES = {
    "PlanReconcileFunction": "Schedule",
    "PublishChangesFunction": "Table",
    "ReconcileFunction": "ReconcileQueue",
}
ENVIRONMENT = {
    "TABLE_NAME",
    "CODAT_SECRET_ID",
    "CODAT_BASE_URL",
    "CODAT_TAG_KEY",
    "PLATFORM_KEYS",
    "SOURCE_TYPES",
    "ALLOW_SANDBOX",
    "HASH_IDS_IN_LOGS",
    "TIMELINE_DAYS",
    "POWERTOOLS_SERVICE_NAME",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_LOG_LEVEL",
    "PYDANTIC_DISABLE_PLUGINS",
}
OWN_ENVIRONMENT = {
    "CodatWebhookFunction": {"WEBHOOK_SOURCE_RANGES"},
    "OpenInvitationFunction": {"APP_NAME", "APP_ACCENT_COLOR", "APP_LOGO_URL", "SHOW_PLATFORM_LOGOS"},
    "PublishChangesFunction": {"EVENT_BUS_NAME"},
    "PlanReconcileFunction": {"RECONCILE_QUEUE_URL"},
    "ReconcileFunction": {"ADOPT_ORPHANS", "ABANDONED_AFTER_DAYS"},
}


def test_routes_invoke_their_functions(template: dict[str, Any]) -> None:
    """The API has exactly the documented routes."""
    aliases = {
        route: re.findall(r"functions/\$\{(\w+)\}", operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"])
        for route, operation in operations(template).items()
    }

    assert aliases == {route: [function + ALIAS] for route, function in ROUTES.items()}


def test_every_function_has_a_route_or_an_event_source(template: dict[str, Any]) -> None:
    functions = set(properties(template, "AWS::Lambda::Function"))

    assert functions == set(ROUTES.values()) | set(EVENT_SOURCES)


def test_every_other_route_requires_iam(template: dict[str, Any]) -> None:
    """The webhook's function verifies Codat's signature. An invitation's URL contains a token."""
    [api] = properties(template, "AWS::ApiGatewayV2::Api").values()
    scheme = api["Body"]["components"]["securitySchemes"]["AWS_IAM"]
    security = {route: operation.get("security") for route, operation in operations(template).items()}

    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert all(security.pop(route) == [{"NONE": []}] for route in PUBLIC)
    assert security
    assert all(required == [{"AWS_IAM": []}] for required in security.values()), security


def test_functions_are_reachable_only_through_the_api(template: dict[str, Any]) -> None:
    """They have no URL, and no other service than API Gateway may invoke them."""
    assert not properties(template, "AWS::Lambda::Url")
    for permission in properties(template, "AWS::Lambda::Permission").values():
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert permission["SourceArn"]


WITHOUT_RESOURCE = "cloudwatch:DescribeAlarms"
"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html"""
TABLE_ARN = {"Fn::If": ["OwnsTable", {"Fn::GetAtt": ["Table", "Arn"]}, {"Ref": "ExistingTableArn"}]}


def test_permissions_have_no_wildcard(template: dict[str, Any]) -> None:
    """Every statement names actions and resources; for the table also the prefixes of the partition keys."""
    all_statements = list(statements(template))
    assert all_statements
    for role, statement in all_statements:
        assert statement["Effect"] == "Allow"
        assert all("*" not in action for action in as_list(statement["Action"])), role
        for resource in as_list(statement["Resource"]):
            if statement["Action"] != WITHOUT_RESOURCE:
                assert isinstance(resource, dict), f"{role} names {resource} instead of a resource of the stack"
        if TABLE_ARN in as_list(statement["Resource"]):
            assert statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"], role


# All actions of functions that change no state.
PERMITTED = {
    "ReadCustomersFunction": {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"},
    "PublishChangesFunction": {
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
        "events:PutEvents",
        "s3:ListBucket",
        "s3:PutObject",
    },
    "PlanReconcileFunction": {"dynamodb:Query", "secretsmanager:GetSecretValue", "sqs:SendMessage"},
}


@pytest.mark.parametrize("function", PERMITTED)
def test_functions_have_minimal_permissions(template: dict[str, Any], function: str) -> None:
    """Reading excludes writing, publishing excludes the table, and only functions that call Codat read the secret."""
    assert actions_of(template, function) == PERMITTED[function]


@pytest.mark.parametrize("function", ["ChangeCustomerFunction", "CreateLinkFunction", "UnlinkConnectionFunction"])
def test_functions_that_do_not_delete_have_no_permission_to(template: dict[str, Any], function: str) -> None:
    assert not actions_of(template, function) & {"dynamodb:DeleteItem", "dynamodb:BatchWriteItem"}


def test_permissions_name_each_index_and_only_allow_queries(template: dict[str, Any]) -> None:
    """The table's LeadingKeys don't apply to an index."""
    indexes = {
        resource["Fn::Join"][1][1]: as_list(statement["Action"])
        for _, statement in statements(template)
        for resource in as_list(statement["Resource"])
        if "Fn::Join" in resource and resource["Fn::Join"][0] == "/index/"
    }
    assert set(indexes) == {"byAttention", "byCustomer", "byStatus"}
    assert all(actions == ["dynamodb:Query"] for actions in indexes.values())


MANAGED = ["AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess"]


def test_roles_have_no_other_policies(template: dict[str, Any]) -> None:
    """Besides their own statements, functions may only write logs and traces.

    SAM's `Events` of a stream or a queue would add a policy for all of the account.
    """
    for name, role in properties(template, "AWS::IAM::Role").items():
        if name not in function_roles(template):
            assert not role.get("ManagedPolicyArns"), name
            continue
        managed = [str(arn) for arn in role.get("ManagedPolicyArns", [])]
        assert [arn.rpartition("/")[2] for arn in managed] == MANAGED, name


def test_no_function_may_scan(template: dict[str, Any]) -> None:
    """A Scan has no keys, so LeadingKeys would not restrict it."""
    for _, statement in statements(template):
        assert not {"dynamodb:Scan", "dynamodb:PartiQLSelect"} & set(as_list(statement["Action"]))


def test_logs_expire(template: dict[str, Any]) -> None:
    """Functions and API log to groups of the stack: a group that Lambda creates has no retention."""
    groups = properties(template, "AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())
    functions = properties(template, "AWS::Lambda::Function")
    assert functions
    for name, function in functions.items():
        assert function["LoggingConfig"]["LogGroup"]["Ref"] in groups, name
    for stage in properties(template, "AWS::ApiGatewayV2::Stage").values():
        assert stage["AccessLogSettings"]["DestinationArn"]["Fn::GetAtt"][0] in groups


def test_access_log_is_json_without_ids(template: dict[str, Any]) -> None:
    """It contains the route, and not the path: ids in a log would outlast a deleted customer."""
    [stage] = properties(template, "AWS::ApiGatewayV2::Stage").values()
    line = stage["AccessLogSettings"]["Format"]

    assert json.loads(line)["route"] == "$context.routeKey"
    assert "\n" not in line
    assert "$context.path" not in line


def test_functions_share_runtime_architecture_and_environment(template: dict[str, Any]) -> None:
    """The byte code is compiled for this Python. API Gateway waits for a function for 30 s."""
    for name, function in properties(template, "AWS::Lambda::Function").items():
        assert function["Runtime"] == "python3.13", name
        assert name in EVENT_SOURCES or function["Timeout"] < 30, name
        assert function["Architectures"] == [{"Ref": "Architecture"}], name
        assert set(function["Environment"]["Variables"]) == ENVIRONMENT | OWN_ENVIRONMENT.get(name, set()), name


def test_the_stream_delivers_changes_of_customers_and_connections(template: dict[str, Any]) -> None:
    """Other items, and deletions by DynamoDB's TTL, are filtered out."""
    [table] = properties(template, "AWS::DynamoDB::Table").values()
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    source = event_source(template, "PublishChangesFunction")
    [pattern] = [EventPattern.load(criterion["Pattern"]) for criterion in source["FilterCriteria"]["Filters"]]

    stream = {"Fn::GetAtt": ["Table", "StreamArn"]}
    assert source["EventSourceArn"] == {"Fn::If": ["OwnsTable", stream, {"Ref": "ExistingTableStreamArn"}]}
    assert source["StartingPosition"] == "TRIM_HORIZON"
    for sort_key, is_delivered in {
        "CUSTOMER": True,
        "CONNECTION#1": True,
        "COMPANY": False,
        "CREATING#qhyg": False,
        "EVENT#1#2#3": False,
        "msg_1": False,
    }.items():
        record: Any = {"eventName": "MODIFY", "dynamodb": {"Keys": {"sk": {"S": sort_key}}}}
        assert pattern.matches_event(record) == is_delivered, sort_key
        by_ttl: Any = {**record, "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
        assert not pattern.matches_event(by_ttl), sort_key


def test_a_change_that_cannot_be_published_is_stored_in_a_bucket(template: dict[str, Any]) -> None:
    """The function reports failed records. They are retried separately, and then stored in a private bucket."""
    source = event_source(template, "PublishChangesFunction")
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["BisectBatchOnFunctionError"] is True
    assert 0 < source["MaximumRetryAttempts"] <= 10_000
    # A stream keeps records for a day.
    assert 0 < source["MaximumRecordAgeInSeconds"] < 24 * 3600
    bucket_id = source["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0]
    bucket = template["Resources"][bucket_id]
    assert bucket["Type"] == "AWS::S3::Bucket"
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())
    assert bucket["Properties"]["BucketEncryption"]
    assert bucket["Properties"]["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] == 30
    assert "VersioningConfiguration" not in bucket["Properties"]


def test_a_failing_batch_of_a_reconcile_becomes_a_dead_letter(template: dict[str, Any]) -> None:
    """The message is invisible to other workers while the function runs. Other messages are not affected."""
    source = event_source(template, "ReconcileFunction")
    queue_id = source["EventSourceArn"]["Fn::GetAtt"][0]
    queue = template["Resources"][queue_id]["Properties"]
    function = template["Resources"]["ReconcileFunction"]["Properties"]

    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 3
    dead_letters_id = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    dead_letters = template["Resources"][dead_letters_id]["Properties"]
    assert dead_letters["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]


def test_queues_are_encrypted(template: dict[str, Any]) -> None:
    for name, queue in properties(template, "AWS::SQS::Queue").items():
        assert queue["SqsManagedSseEnabled"] is True, name


def test_the_schedule_may_only_invoke_the_plan(template: dict[str, Any]) -> None:
    [schedule] = properties(template, "AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == {"Ref": "ReconcileSchedule"}
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    plan = {"Ref": f"PlanReconcileFunction{ALIAS}"}
    assert schedule["Target"]["Arn"] == plan
    role = schedule["Target"]["RoleArn"]["Fn::GetAtt"][0]
    [statement] = [statement for name, statement in statements(template) if name == role]
    assert (statement["Action"], statement["Resource"]) == ("lambda:InvokeFunction", plan)


def test_secrets_are_not_parameters_and_are_not_overwritten(template: dict[str, Any]) -> None:
    """CloudFormation writes the secret again if its text in the template changes, and would erase the real value."""
    secret = properties(template, "AWS::SecretsManager::Secret")["CodatSecret"]
    assert secret["SecretString"] == '{"apiKey": "", "webhookSecrets": []}'
    for parameter in template["Parameters"]:
        assert not re.search(r"api.?key|secret|token|password", parameter, re.IGNORECASE), parameter


def test_many_public_requests_do_not_throttle_the_apps_calls(template: dict[str, Any]) -> None:
    """Everyone can send unsigned requests, so these routes have separate limits, and so has the webhook's function."""
    [stage] = properties(template, "AWS::ApiGatewayV2::Stage").values()
    default, by_route = stage["DefaultRouteSettings"], stage["RouteSettings"]
    assert default["ThrottlingRateLimit"] == default["ThrottlingBurstLimit"] == {"Ref": "RequestsPerSecond"}
    assert set(by_route) == PUBLIC
    for route, limits in by_route.items():
        parameter = "WebhooksPerSecond" if route == WEBHOOK else "InvitationRequestsPerSecond"
        assert limits["ThrottlingRateLimit"] == limits["ThrottlingBurstLimit"] == {"Ref": parameter}
    reserved = {
        name: function["ReservedConcurrentExecutions"]
        for name, function in properties(template, "AWS::Lambda::Function").items()
        if "ReservedConcurrentExecutions" in function
    }
    no_value = {"Ref": "AWS::NoValue"}
    assert reserved == {
        "CodatWebhookFunction": {"Fn::If": ["ReservesForWebhooks", {"Ref": "WebhookConcurrency"}, no_value]}
    }


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("", True),
        ("4.159.114.108/32", True),
        ("20.117.190.191/32", True),
        ("10.0.0.0/8", True),
        ("0.0.0.0/0", True),
        ("255.255.255.255/32", True),
        ("10.1.2.3/8", True),
        ("300.1.1.1/32", False),
        ("256.1.1.1/32", False),
        ("1.2.3.4", False),
        ("1.2.3.4/33", False),
        ("1.2.3.4/032", False),
        ("01.2.3.4/32", False),
        ("1.2.3/32", False),
        ("1.2.3.4.5/32", False),
        ("a b", False),
        ("::1/128", False),
        ("1.2.3.4/32\n", False),
        ("1.2.3.4/32 5.6.7.8/32", False),
    ],
)
def test_only_valid_ranges_of_addresses_are_accepted(
    template: dict[str, Any], monkeypatch: pytest.MonkeyPatch, text: str, *, is_allowed: bool
) -> None:
    """CloudFormation matches each range of the list, as a whole, and rejects others with a sentence.

    The function can read every range that is accepted, because a range it can't read would fail every webhook.
    """
    parameter = template["Parameters"]["WebhookSourceRanges"]
    assert parameter["Type"] == "CommaDelimitedList"
    assert parameter["Default"] == ""
    assert "IPv4" in parameter["ConstraintDescription"]
    assert bool(re.fullmatch(parameter["AllowedPattern"].removeprefix("^").removesuffix("$"), text)) == is_allowed
    monkeypatch.setenv("WEBHOOK_SOURCE_RANGES", text)
    read.cache_clear()
    try:
        if is_allowed:
            assert len(read(WebhookSettings).webhook_source_ranges) == bool(text)
    finally:
        read.cache_clear()


@pytest.mark.parametrize(
    ("name", "text", "is_allowed"),
    [
        ("AppName", "Bloom & Daughters", True),
        ("AppName", "", False),
        ("AppName", "<b>Bloom", False),
        ("AppName", "x" * 61, False),
        ("AppAccentColor", "#1f4FD8", True),
        ("AppAccentColor", "red", False),
        ("AppAccentColor", "#fff", False),
        ("AppAccentColor", "#1f4fd8;}", False),
        ("AppLogoUrl", "", True),
        ("AppLogoUrl", "https://cdn.example.com/logo.svg?v=2", True),
        ("AppLogoUrl", "data:image/png;base64,iVBORw0KGgo=", True),
        ("AppLogoUrl", "http://cdn.example.com/logo.svg", False),
        ("AppLogoUrl", "https://cdn.example.com/logo.svg' *", False),
        ("AppLogoUrl", 'https://cdn.example.com/"onerror', False),
        ("AppLogoUrl", "data:text/html;base64,AAAA", False),
        ("AppLogoUrl", "javascript:alert(1)", False),
    ],
)
def test_the_look_of_the_page_is_checked(
    template: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str, text: str, *, is_allowed: bool
) -> None:
    """What CloudFormation accepts, the function accepts, too; and it reaches the page as it is."""
    parameter = template["Parameters"][name]
    assert parameter["ConstraintDescription"]
    assert bool(re.fullmatch(parameter["AllowedPattern"].removeprefix("^").removesuffix("$"), text)) == is_allowed
    variable = {"AppName": "APP_NAME", "AppAccentColor": "APP_ACCENT_COLOR", "AppLogoUrl": "APP_LOGO_URL"}[name]
    for other, default in Template.load().functions["OpenInvitationFunction"].environment.items():
        monkeypatch.setenv(other, default)
    monkeypatch.setenv(variable, text)
    if is_allowed:
        read.cache_clear()
        try:
            assert getattr(read(PageSettings), variable.lower()) == text
        finally:
            read.cache_clear()


def test_an_empty_list_of_ranges_reaches_the_function_as_an_empty_text(template: dict[str, Any]) -> None:
    variables = template["Resources"]["CodatWebhookFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["WEBHOOK_SOURCE_RANGES"] == {"Fn::Join": [",", {"Ref": "WebhookSourceRanges"}]}
    assert Template.load().functions["CodatWebhookFunction"].environment["WEBHOOK_SOURCE_RANGES"] == ""


def test_the_defaults_fit_a_small_customer(template: dict[str, Any]) -> None:
    assert template["Parameters"]["WebhooksPerSecond"]["Default"] == 50


def test_managed_policies_cover_every_signed_route(template: dict[str, Any]) -> None:
    """Every route is in exactly one of the policies for reading, writing, links and deleting."""
    stage = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/$default/"
    allowed = {}
    for name, policy in properties(template, "AWS::IAM::ManagedPolicy").items():
        [statement] = policy["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Action"]) == ("Allow", "execute-api:Invoke")
        patterns = [resource["Fn::Sub"] for resource in as_list(statement["Resource"])]
        assert all(pattern.startswith(stage) for pattern in patterns), name
        allowed[name] = [pattern.removeprefix(stage) for pattern in patterns]
        assert {"Ref": name} in [output["Value"] for output in template["Outputs"].values()]
    for route in ROUTES.keys() - INVITATION_PAGE:
        method, _, path = route.partition(" ")
        request = method + path.replace("{", "").replace("}", "")
        policies = {
            name for name, patterns in allowed.items() if any(fnmatchcase(request, pattern) for pattern in patterns)
        }
        expected = {"GET": "ReadPolicy", "DELETE": "DeletePolicy"}.get(method, "WritePolicy")
        if method == "POST" and path.endswith(("/link", "/access-token", "/invitations")):
            expected = "LinkPolicy"
        assert policies == (set() if route == WEBHOOK else {expected}), route


def test_data_is_retained_when_the_stack_is_deleted(template: dict[str, Any]) -> None:
    """Table, secret and bucket are deleted only if the stack's creation fails, so that it can be repeated."""
    retained = {"AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::S3::Bucket", "AWS::S3::BucketPolicy"}
    for name, resource in template["Resources"].items():
        if resource["Type"] in retained:
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name
            assert resource["UpdateReplacePolicy"] == "Retain", name
    [table] = properties(template, "AWS::DynamoDB::Table").values()
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert table["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
    assert template["Parameters"]["DeletionProtection"]["Default"] == "false"


def test_layer_is_built_for_the_functions_processor() -> None:
    """By default SAM builds a layer for x86_64, whose compiled libraries can't be imported on arm64."""
    source = (ROOT / "template.yaml").read_text()
    layer = source[source.index("  SharedLayer:\n") :].partition("\n\n")[0]
    assert "BuildArchitecture: !Ref Architecture" in layer
    assert "CompatibleArchitectures: [!Ref Architecture]" in layer


def test_make_builds_for_the_templates_processor(template: dict[str, Any]) -> None:
    """`make package` and `sam deploy` use the same default."""
    default = template["Parameters"]["Architecture"]["Default"]
    assert re.search(r"^ARCH := (\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1] == default  # type: ignore[index]
