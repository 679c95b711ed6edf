"""The event sources of a template."""

from pathlib import Path
from textwrap import dedent

import pytest

from local.aws.event_sources import QueueSource, StreamSource, queue_sources, scheduled_functions, stream_sources
from local.template import Template, TemplateError


def load(tmp_path: Path, text: str) -> Template:
    path = tmp_path / "template.yaml"
    path.write_text(dedent(text), "utf-8")
    return Template.load(path)


def test_event_sources_have_the_templates_settings_or_lambdas_defaults(tmp_path: Path) -> None:
    """GIVEN a stream with settings, and a queue without THEN the queue has the defaults."""
    template = load(
        tmp_path,
        """
        Resources:
          Table: {Type: AWS::DynamoDB::Table}
          Queue: {Type: AWS::SQS::Queue}
          Publish: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}
          Work: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}
          Plan:
            Type: AWS::Serverless::Function
            Properties:
              Handler: a.b
              Events:
                Daily: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day)}}
                Get: {Type: HttpApi, Properties: {Method: GET, Path: /}}
          FromTable:
            Type: AWS::Lambda::EventSourceMapping
            Properties:
              EventSourceArn: !GetAtt Table.StreamArn
              FunctionName: !Ref Publish
              BatchSize: 7
              MaximumRetryAttempts: 3
              BisectBatchOnFunctionError: true
              FunctionResponseTypes: [ReportBatchItemFailures]
              FilterCriteria: {Filters: [{Pattern: '{"eventName": ["INSERT"]}'}]}
          FromQueue:
            Type: AWS::Lambda::EventSourceMapping
            Properties: {EventSourceArn: !GetAtt [Queue, Arn], FunctionName: !Ref Work}
        """,
    )
    assert stream_sources(template) == [
        StreamSource(
            function="Publish",
            table="Table",
            batch_size=7,
            retries=3,
            bisects=True,
            reports_failures=True,
            filters=('{"eventName": ["INSERT"]}',),
        )
    ]
    assert queue_sources(template) == [
        QueueSource("Work", "Queue", batch_size=10, concurrency=2, reports_failures=False)
    ]
    assert scheduled_functions(template) == ["Plan"]


def test_retries_are_unlimited_by_default_and_with_minus_one(tmp_path: Path) -> None:
    """Lambda then retries until the record expires."""
    text = """
        Resources:
          Table: {{Type: AWS::DynamoDB::Table}}
          FromTable:
            Type: AWS::Lambda::EventSourceMapping
            Properties: {{EventSourceArn: !GetAtt Table.StreamArn, FunctionName: !Ref Publish{retries}}}
        """
    for retries in ("", ", MaximumRetryAttempts: -1"):
        [source] = stream_sources(load(tmp_path, text.format(retries=retries)))
        assert source.retries is None


def test_a_source_outside_the_template_is_an_error(tmp_path: Path) -> None:
    """The stack on one machine can't replace it."""
    text = """
        Resources:
          Foreign:
            Type: AWS::Lambda::EventSourceMapping
            Properties: {EventSourceArn: "arn:aws:sqs:eu-west-1:123456789012:q", FunctionName: !Ref Work}
        """
    with pytest.raises(TemplateError, match="arn:aws:sqs"):
        queue_sources(load(tmp_path, text))


def test_the_projects_template_is_supported() -> None:
    """GIVEN template.yaml THEN its stream, queue and schedule invoke functions of the template."""
    real = Template.load()
    [stream], [queue], [scheduled] = stream_sources(real), queue_sources(real), scheduled_functions(real)
    assert {stream.function, queue.function, scheduled} <= set(real.functions)
    assert real.table(stream.table).definition["StreamSpecification"]["StreamEnabled"]
    assert real.queue(queue.queue).dead_letters
    assert real.environment()["RECONCILE_QUEUE_URL"].endswith(real.queue(queue.queue).name)


RECORD = {"eventName": "MODIFY", "dynamodb": {"Keys": {"sk": {"S": "CONNECTION#1"}}, "SizeBytes": 200}}


def source(*filters: str) -> StreamSource:
    return StreamSource("F", "Table", 10, None, bisects=True, reports_failures=True, filters=filters)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("{}", True),
        ('{"eventName": ["INSERT", "MODIFY"]}', True),
        ('{"eventName": ["REMOVE"]}', False),
        ('{"eventName": ["MODIFY"], "dynamodb": {"Keys": {"sk": {"S": ["CUSTOMER"]}}}}', False),
        ('{"dynamodb": {"Keys": {"sk": {"S": ["CUSTOMER", {"prefix": "CONNECTION#"}]}}}}', True),
        ('{"dynamodb": {"Keys": {"pk": {"S": [{"prefix": ""}]}}}}', False),
        ('{"userIdentity": {"type": [{"exists": false}]}}', True),
        ('{"eventName": [{"exists": true}]}', True),
        ('{"eventName": [{"exists": false}]}', False),
        ('{"eventName": [{"anything-but": "REMOVE"}]}', True),
        ('{"eventName": [{"anything-but": ["REMOVE", "MODIFY"]}]}', False),
        ('{"userIdentity": {"type": [{"anything-but": "Service"}]}}', False),
        ('{"dynamodb": {"SizeBytes": [{"numeric": [">", 100]}]}}', True),
    ],
)
def test_a_filter_matches_if_each_of_its_fields_has_a_listed_value(pattern: str, matches: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """Lambda's rules: a field that is missing matches only `"exists": false`."""
    assert source(pattern).matches(RECORD) is matches


def test_a_record_is_delivered_if_any_filter_matches_or_there_is_none() -> None:
    """Several filters are alternatives."""
    assert source('{"eventName": ["REMOVE"]}', '{"eventName": ["MODIFY"]}').matches(RECORD)
    assert source().matches(RECORD)
