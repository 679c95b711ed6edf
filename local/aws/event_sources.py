"""The event sources of template.yaml besides the API, with Lambda's defaults: the table's stream, queues, schedules."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.template import ACCOUNT_ID, DEFAULT_REGION, resource_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local.template import Template


@dataclass(frozen=True, slots=True)
class StreamSource:
    """`retries` of one batch before its records are discarded, None for unlimited. `filters` are JSON."""

    function: str
    table: str
    batch_size: int
    retries: int | None
    bisects: bool
    reports_failures: bool
    filters: tuple[str, ...]

    def matches(self, record: Any) -> bool:
        """Return whether a filter lets the record through.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
        """
        from moto.events.models import EventPattern  # noqa: PLC0415 - moto is slow to import

        return not self.filters or any(EventPattern.load(text).matches_event(record) for text in self.filters)


@dataclass(frozen=True, slots=True)
class QueueSource:
    """`concurrency` is the number of batches processed at a time."""

    function: str
    queue: str
    batch_size: int
    concurrency: int
    reports_failures: bool


def stream_sources(template: Template) -> list[StreamSource]:
    return [
        StreamSource(
            function=resource_of(properties["FunctionName"]),
            table=table,
            batch_size=int(template.resolve(properties.get("BatchSize", 100))),
            retries=None if (retries := int(properties.get("MaximumRetryAttempts", -1))) < 0 else retries,
            bisects=bool(properties.get("BisectBatchOnFunctionError", False)),
            reports_failures=_reports_failures(properties),
            filters=tuple(
                template.resolve(criterion["Pattern"])
                for criterion in properties.get("FilterCriteria", {}).get("Filters", [])
            ),
        )
        for table, properties in _event_source_mappings(template, "AWS::DynamoDB::Table")
    ]


def queue_sources(template: Template) -> list[QueueSource]:
    return [
        QueueSource(
            function=resource_of(properties["FunctionName"]),
            queue=queue,
            batch_size=int(template.resolve(properties.get("BatchSize", 10))),
            concurrency=int(properties.get("ScalingConfig", {}).get("MaximumConcurrency", 2)),
            reports_failures=_reports_failures(properties),
        )
        for queue, properties in _event_source_mappings(template, "AWS::SQS::Queue")
    ]


def scheduled_functions(template: Template) -> list[str]:
    """Return the logical ids of the functions with a schedule."""
    return [
        function
        for function, properties in template.of_type("AWS::Serverless::Function").items()
        if any(event["Type"] == "ScheduleV2" for event in properties.get("Events", {}).values())
    ]


def schedule_event() -> dict[str, Any]:
    """Return the event of an EventBridge schedule without an input of its own."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT_ID,
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": DEFAULT_REGION,
        "resources": [f"arn:aws:scheduler:{DEFAULT_REGION}:{ACCOUNT_ID}:schedule/default/local"],
        "detail": "{}",
    }


def _event_source_mappings(template: Template, source_type: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the mappings from this type of resource, each with the logical id of its source."""
    sources = template.of_type(source_type)
    for properties in template.of_type("AWS::Lambda::EventSourceMapping").values():
        source = resource_of(template.branch_of(properties["EventSourceArn"]))
        if source in sources:
            yield source, properties


def _reports_failures(properties: Mapping[str, Any]) -> bool:
    return "ReportBatchItemFailures" in properties.get("FunctionResponseTypes", [])
