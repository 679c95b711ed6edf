"""Reading template.yaml."""

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from local.template import Route, Template, TemplateError

if TYPE_CHECKING:
    from pathlib import Path


def load(tmp_path: "Path", text: str, **options: dict[str, str]) -> Template:
    path = tmp_path / "template.yaml"
    path.write_text(dedent(text), "utf-8")
    return Template.load(path, **options)


SMALL = """
    Parameters:
      Keys: {Type: CommaDelimitedList, Default: "a,b"}
      Stage: {Type: String, Default: dev}
      Days: {Type: Number, Default: 400}
    Conditions:
      IsProd: !Equals [!Ref Stage, prod]
    Globals:
      Function:
        Timeout: 29
        MemorySize: !If [IsProd, 1024, 256]
        Environment:
          Variables:
            TABLE_NAME: !Ref Table
            KEYS: !Join [";", !Ref Keys]
            DAYS: !Ref Days
            STRICT: true
            MODE: !If [IsProd, hard, soft]
            STACK: !Ref AWS::StackName
            QUEUE_URL: !Ref Queue
    Resources:
      Api:
        Type: AWS::Serverless::HttpApi
        Properties: {Auth: {EnableIamAuthorizer: true, DefaultAuthorizer: AWS_IAM}}
      ReadFunction:
        Type: AWS::Serverless::Function
        Properties:
          Handler: functions.read.app.handler
          Timeout: 5
          Events:
            Any: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: get, Path: "/things/{id}"}}
            First: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /things/first}}
            Daily: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
      HookFunction:
        Type: AWS::Serverless::Function
        Properties:
          Handler: functions.hook.app.handler
          Events:
            Hook:
              Type: HttpApi
              Properties: {ApiId: !Ref Api, Method: POST, Path: /hook, Auth: {Authorizer: NONE}}
      ProdFunction:
        Type: AWS::Serverless::Function
        Condition: IsProd
        Properties: {Handler: functions.prod.app.handler}
      Queue:
        Type: AWS::SQS::Queue
      Table:
        Type: AWS::DynamoDB::Table
        Properties:
          BillingMode: PAY_PER_REQUEST
          AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
          KeySchema: [{AttributeName: pk, KeyType: HASH}]
          StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}
          PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
    """


def test_intrinsic_functions_are_evaluated(tmp_path: "Path") -> None:
    """A function's environment variables are strings."""
    environment = load(tmp_path, SMALL).functions["ReadFunction"].environment
    expected = {
        "TABLE_NAME": "codat-customers-Table",
        "KEYS": "a;b",
        "DAYS": "400",
        "STRICT": "true",
        "MODE": "soft",
        "STACK": "codat-customers",
        "QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/codat-customers-Queue",
    }
    assert {key: environment[key] for key in expected} == expected


def test_parameters_replace_defaults(tmp_path: "Path") -> None:
    """GIVEN parameters THEN conditions and values use them."""
    functions = load(tmp_path, SMALL, parameters={"Stage": "prod"}).functions
    assert set(functions) == {"ReadFunction", "HookFunction", "ProdFunction"}
    assert functions["HookFunction"].memory == 1024
    assert functions["HookFunction"].environment["MODE"] == "hard"


def test_an_unknown_parameter_is_an_error(tmp_path: "Path") -> None:
    """The message names it."""
    with pytest.raises(TemplateError, match="Stge"):
        load(tmp_path, SMALL, parameters={"Stge": "prod"})


def test_functions_inherit_globals(tmp_path: "Path") -> None:
    """A function's own properties win over Globals, which win over Lambda's defaults."""
    functions = load(tmp_path, SMALL).functions
    assert (functions["ReadFunction"].timeout, functions["ReadFunction"].memory) == (5, 256)
    assert functions["HookFunction"].timeout == 29


def test_routes_are_sorted_by_specificity_and_have_their_authorizer(tmp_path: "Path") -> None:
    """A literal path precedes a parameter, and IAM is the default."""
    assert load(tmp_path, SMALL).routes == [
        Route("POST", "/hook", "HookFunction", iam=False),
        Route("GET", "/things/first", "ReadFunction", iam=True),
        Route("GET", "/things/{id}", "ReadFunction", iam=True),
    ]


def test_a_table_has_the_arguments_of_create_table(tmp_path: "Path") -> None:
    """A view type enables the stream; properties that create_table lacks are omitted."""
    table = load(tmp_path, SMALL).table()
    assert table == {
        "TableName": "codat-customers-Table",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    }


def test_variables_that_differ_between_functions_are_an_error(tmp_path: "Path") -> None:
    """Functions share a process, so a variable has a single value."""
    conflicting = load(
        tmp_path,
        """
        Resources:
          First:
            Type: AWS::Serverless::Function
            Properties: {Handler: a.b, Environment: {Variables: {MODE: x}}}
          Second:
            Type: AWS::Serverless::Function
            Properties: {Handler: a.b, Environment: {Variables: {MODE: y}}}
        """,
    )
    with pytest.raises(TemplateError, match="MODE differs between First and Second"):
        conflicting.environment()


@pytest.mark.parametrize(
    ("value", "name"), [("!Cidr [a, b, c]", "!Cidr"), ("!Ref Missing", "Missing"), ("!GetAtt Missing.Arn", "!GetAtt")]
)
def test_an_unsupported_value_is_an_error_with_its_name(tmp_path: "Path", value: str, name: str) -> None:
    """The error is raised when the value is resolved."""
    unknown = load(
        tmp_path,
        f"""
        Resources:
          First:
            Type: AWS::Serverless::Function
            Properties: {{Handler: a.b, Environment: {{Variables: {{MODE: {value}}}}}}}
        """,
    )
    with pytest.raises(TemplateError, match=name):
        unknown.environment()


def test_the_projects_template_is_supported() -> None:
    """GIVEN template.yaml THEN its routes, functions, environment and table are complete."""
    real = Template.load()
    assert Route("POST", "/webhooks/codat", "CodatWebhookFunction", iam=False) in real.routes
    assert Route("POST", "/customers", "CreateCompanyFunction", iam=True) in real.routes
    assert all(function.handler.startswith("functions.") for function in real.functions.values())
    assert real.environment()["TABLE_NAME"] == real.physical_id("Table")
    indexes = real.table()["GlobalSecondaryIndexes"]
    assert {index["IndexName"] for index in indexes} == {"byAttention", "byCustomer", "byStatus"}
