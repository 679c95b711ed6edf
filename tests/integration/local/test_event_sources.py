"""What starts functions beside the API, as template.yaml says it."""

from pathlib import Path
from textwrap import dedent

import pytest

from local.aws.event_sources import QueueSource, Schedule, StreamSource, queue_sources, schedules, stream_sources
from local.template import Template, TemplateError


def template(tmp_path: Path, text: str) -> Template:
    path = tmp_path / "template.yaml"
    path.write_text(dedent(text), "utf-8")
    return Template.load(path)


def test_sources_with_their_settings(tmp_path: Path) -> None:
    """GIVEN a stream, a queue and a schedule THEN each is there with what the template says of it, or Lambda's own."""
    read = template(
        tmp_path,
        """
        Resources:
          Table: {Type: AWS::DynamoDB::Table}
          Queue: {Type: AWS::SQS::Queue}
          Tell: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}
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
              FunctionName: !Ref Tell
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
    assert stream_sources(read) == [
        StreamSource(
            function="Tell",
            table="Table",
            batch_size=7,
            retries=3,
            bisects=True,
            reports_failures=True,
            filters=({"eventName": ["INSERT"]},),
        )
    ]
    assert queue_sources(read) == [QueueSource("Work", "Queue", batch_size=10, workers=2, reports_failures=False)]
    assert schedules(read) == [Schedule("Plan", "Daily")]


def test_retries_without_end(tmp_path: Path) -> None:
    """-1, like nothing at all, is Lambda's word for "until the record is too old"."""
    text = """
        Resources:
          Table: {{Type: AWS::DynamoDB::Table}}
          FromTable:
            Type: AWS::Lambda::EventSourceMapping
            Properties: {{EventSourceArn: !GetAtt Table.StreamArn, FunctionName: !Ref Tell{retries}}}
        """
    for retries in ("", ", MaximumRetryAttempts: -1"):
        [source] = stream_sources(template(tmp_path, text.format(retries=retries)))
        assert source.retries is None


def test_a_source_outside_the_template_is_refused(tmp_path: Path) -> None:
    """Nothing stands for it on one machine."""
    text = """
        Resources:
          Foreign:
            Type: AWS::Lambda::EventSourceMapping
            Properties: {EventSourceArn: "arn:aws:sqs:eu-west-1:123456789012:q", FunctionName: !Ref Work}
        """
    with pytest.raises(TemplateError, match="arn:aws:sqs"):
        queue_sources(template(tmp_path, text))


def test_the_real_template_is_understood() -> None:
    """GIVEN the project's template THEN its stream, queue and schedule lead to functions that exist."""
    real = Template.load()
    [stream], [queue], [schedule] = stream_sources(real), queue_sources(real), schedules(real)
    assert {stream.function, queue.function, schedule.function} <= set(real.functions)
    assert real.table(stream.table).definition["StreamSpecification"]["StreamEnabled"]
    assert real.queue(queue.queue).dead_letters
    assert real.environment()["RECONCILE_QUEUE_URL"].endswith(real.queue(queue.queue).name)
