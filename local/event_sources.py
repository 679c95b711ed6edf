"""What invokes functions beside the API, as template.yaml says it: the table's stream, queues, schedules."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.template import referred

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.template import Template

# Lambda's own defaults, for a source that says nothing else.
_STREAM_BATCH = 100
_QUEUE_BATCH = 10
_WORKERS = 2
_FOR_EVER = -1


@dataclass(frozen=True, slots=True)
class StreamSource:
    """`retries` of one batch before its records are given up; None is without end."""

    function: str
    table: str
    batch_size: int
    retries: int | None
    bisects: bool
    reports_failures: bool
    filters: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class QueueSource:
    """`workers` is how many batches are worked on at a time."""

    function: str
    queue: str
    batch_size: int
    workers: int
    reports_failures: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    function: str
    name: str


def stream_sources(template: Template) -> list[StreamSource]:
    return [
        StreamSource(
            function=referred(properties["FunctionName"]),
            table=table,
            batch_size=int(template.resolve(properties.get("BatchSize", _STREAM_BATCH))),
            retries=None if (retries := int(properties.get("MaximumRetryAttempts", _FOR_EVER))) < 0 else retries,
            bisects=bool(properties.get("BisectBatchOnFunctionError", False)),
            reports_failures=_reports_failures(properties),
            filters=tuple(
                json.loads(template.resolve(one["Pattern"]))
                for one in properties.get("FilterCriteria", {}).get("Filters", [])
            ),
        )
        for table, properties in _mappings(template, "AWS::DynamoDB::Table")
    ]


def queue_sources(template: Template) -> list[QueueSource]:
    return [
        QueueSource(
            function=referred(properties["FunctionName"]),
            queue=queue,
            batch_size=int(template.resolve(properties.get("BatchSize", _QUEUE_BATCH))),
            workers=int(properties.get("ScalingConfig", {}).get("MaximumConcurrency", _WORKERS)),
            reports_failures=_reports_failures(properties),
        )
        for queue, properties in _mappings(template, "AWS::SQS::Queue")
    ]


def schedules(template: Template) -> list[Schedule]:
    return [
        Schedule(function, name)
        for function, properties in template.of_type("AWS::Serverless::Function").items()
        for name, event in properties.get("Events", {}).items()
        if event["Type"] == "ScheduleV2"
    ]


def _mappings(template: Template, source_type: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The event source mappings with the logical id of their source, of those from a type of resource."""
    found = []
    for properties in template.of_type("AWS::Lambda::EventSourceMapping").values():
        source = referred(properties["EventSourceArn"])
        if source in template.of_type(source_type):
            found.append((source, properties))
    return found


def _reports_failures(properties: Mapping[str, Any]) -> bool:
    return "ReportBatchItemFailures" in properties.get("FunctionResponseTypes", [])
