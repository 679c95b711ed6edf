"""template.yaml as the stack on one machine reads it."""

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from local.template import Route, Template, TemplateError

if TYPE_CHECKING:
    from pathlib import Path


def template(tmp_path: "Path", text: str, **options: dict[str, str]) -> Template:
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
    Mappings:
      Sizes: {dev: {memory: 256}, prod: {memory: 1024}}
    Globals:
      Function:
        Timeout: 29
        MemorySize: !FindInMap [Sizes, !Ref Stage, memory]
        Environment:
          Variables:
            TABLE_NAME: !Ref Table
            KEYS: !Join [";", !Ref Keys]
            FIRST: !Select [0, !Ref Keys]
            DAYS: !Ref Days
            STRICT: true
            MODE: !If [IsProd, hard, soft]
            GONE: !If [IsProd, here, !Ref "AWS::NoValue"]
            ARN: !GetAtt Table.Arn
            URL: !Sub "https://${AWS::Region}.example/${Stage}/${!Literal}"
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
            One: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /things/first}}
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


def test_resolves_what_cloudformation_would(tmp_path: "Path") -> None:
    """Intrinsic functions end as the strings that a function finds in its environment."""
    environment = template(tmp_path, SMALL, physical_ids={"Queue": "http://q"}).functions["ReadFunction"].environment
    expected = {
        "TABLE_NAME": "codat-customers-Table",
        "KEYS": "a;b",
        "FIRST": "a",
        "DAYS": "400",
        "STRICT": "true",
        "MODE": "soft",
        "ARN": "arn:aws:dynamodb:eu-west-1:123456789012:codat-customers-Table",
        "URL": "https://eu-west-1.example/dev/${Literal}",
        "QUEUE_URL": "http://q",
    }
    assert {key: environment[key] for key in expected} == expected


def test_parameters_replace_defaults(tmp_path: "Path") -> None:
    """GIVEN parameters WHEN the template is read THEN conditions and values follow them."""
    functions = template(tmp_path, SMALL, parameters={"Stage": "prod"}).functions
    assert set(functions) == {"ReadFunction", "HookFunction", "ProdFunction"}
    assert functions["HookFunction"].memory == 1024
    assert functions["HookFunction"].environment["MODE"] == "hard"


def test_unknown_parameter_is_refused(tmp_path: "Path") -> None:
    """A misspelt parameter is named instead of being without effect."""
    with pytest.raises(TemplateError, match="Stge"):
        template(tmp_path, SMALL, parameters={"Stge": "prod"})


def test_functions_inherit_globals(tmp_path: "Path") -> None:
    """A function's own properties win over Globals, which win over Lambda's defaults."""
    functions = template(tmp_path, SMALL).functions
    assert (functions["ReadFunction"].timeout, functions["ReadFunction"].memory) == (5, 256)
    assert functions["HookFunction"].timeout == 29


def test_routes_come_most_specific_first_with_their_authorizer(tmp_path: "Path") -> None:
    """A literal path wins over a parameter, and only what opts out goes without IAM."""
    assert template(tmp_path, SMALL).routes == [
        Route("POST", "/hook", "HookFunction", iam=False),
        Route("GET", "/things/first", "ReadFunction", iam=True),
        Route("GET", "/things/{id}", "ReadFunction", iam=True),
    ]


def test_table_is_what_create_table_takes(tmp_path: "Path") -> None:
    """Streams are switched on by naming their view; what only CloudFormation knows is left out."""
    table = template(tmp_path, SMALL).table()
    assert table.definition == {
        "TableName": "codat-customers-Table",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    }
    assert table.ttl is None


def test_variables_that_differ_between_functions_are_refused(tmp_path: "Path") -> None:
    """Functions share a process here: one value of a variable would silently win."""
    conflicting = template(
        tmp_path,
        """
        Resources:
          One:
            Type: AWS::Serverless::Function
            Properties: {Handler: a.b, Environment: {Variables: {MODE: x}}}
          Two:
            Type: AWS::Serverless::Function
            Properties: {Handler: a.b, Environment: {Variables: {MODE: y}}}
        """,
    )
    with pytest.raises(TemplateError, match="MODE differs between One and Two"):
        conflicting.environment()


@pytest.mark.parametrize(
    ("value", "named"), [("!Cidr [a, b, c]", "!Cidr"), ("!Ref Nobody", "Nobody"), ("!GetAtt Nobody.Arn", "Nobody")]
)
def test_what_is_not_understood_fails_by_its_name(tmp_path: "Path", value: str, named: str) -> None:
    """Nothing of the template is guessed."""
    unknown = template(
        tmp_path,
        f"""
        Resources:
          One:
            Type: AWS::Serverless::Function
            Properties: {{Handler: a.b, Environment: {{Variables: {{MODE: {value}}}}}}}
        """,
    )
    with pytest.raises(TemplateError, match=named):
        unknown.environment()


def test_the_real_template_is_understood_whole() -> None:
    """GIVEN the project's template THEN routes, functions, environment and table can all be run here."""
    real = Template.load()
    assert Route("POST", "/webhooks/codat", "CodatWebhookFunction", iam=False) in real.routes
    assert Route("POST", "/customers", "CreateCompanyFunction", iam=True) in real.routes
    assert all(function.handler.startswith("functions.") for function in real.functions.values())
    assert real.environment()["TABLE_NAME"] == real.table().name
    assert real.table().ttl == {
        "TableName": real.table().name,
        "TimeToLiveSpecification": {"AttributeName": "expiresAt", "Enabled": True},
    }
    indexes = real.table().definition["GlobalSecondaryIndexes"]
    assert {index["IndexName"] for index in indexes} == {"byStatus", "byCustomer"}
