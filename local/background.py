"""What runs beside the API: the table's stream to the bus, and the reconcile on demand; as template.yaml has them."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from local import aws, moto_memory
from local.batches import Batches
from local.bus import Bus, BusEndpoint
from local.event_sources import queue_sources, schedules, stream_sources
from local.gateway.invocation import invoke_and_wait
from local.poller import Poller
from local.queue_runner import QueueRunner
from local.reconcile import Reconcile, schedule_event
from local.stream import StreamReader
from local.template import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from wsgiref.types import WSGIApplication

    from mypy_boto3_dynamodb import DynamoDBClient

    from local.event_sources import QueueSource, StreamSource
    from local.gateway.invocation import Handler
    from local.stream import Record
    from local.template import Table, Template

logger = logging.getLogger("local.stream")

# How often a DynamoDB that doesn't tell of its writes is asked for them.
_INTERVAL = 0.1
# A bus that refuses everything must not keep its events from being looked at.
_DRAINED_WITHIN = 10.0


class Background:
    """`polls` where DynamoDB is another's than moto's, which tells of its writes."""

    def __init__(self, template: Template, *, polls: bool) -> None:
        self.bus = Bus()
        self._template = template
        self._polls = polls
        self._poller = Poller(interval=_INTERVAL if polls else None)
        self._reconcile: Reconcile | None = None
        self._streaming = False

    def in_front(self, app: WSGIApplication) -> WSGIApplication:
        """Moto with the bus before it."""
        return BusEndpoint(self.bus, aws.AfterWrites(app, self._poller.nudge))

    @contextmanager
    def running(self, handlers: Mapping[str, Handler], dynamodb: DynamoDBClient, *, from_now: bool) -> Iterator[None]:
        """`from_now`: what the stream held before is left alone."""
        with ExitStack() as parts:
            for queue_source in queue_sources(self._template):
                self._reconcile = self._queue(queue_source, handlers)
            for stream_source in stream_sources(self._template):
                parts.enter_context(self._stream(stream_source, handlers, dynamodb, from_now=from_now))
            yield

    def events(self) -> list[dict[str, Any]]:
        """The events on the bus, oldest first; of everything that was written before this call."""
        if self._streaming and not self._poller.drain(_DRAINED_WITHIN):
            logger.warning("Not all that was written is on the bus yet")
        return self.bus.events()

    def reconcile(self, *, adopt_ours: bool = False) -> dict[str, Any]:
        """Run a reconcile to its end, and return its counts; `adopt_ours` as after a restore.

        Raises FunctionError if it could not be planned.
        """
        if self._reconcile is None:
            raise TemplateError("the template has no queue with a function behind it")
        return self._reconcile.run({"adoptOurs": True} if adopt_ours else schedule_event())

    @contextmanager
    def _stream(
        self, source: StreamSource, handlers: Mapping[str, Handler], dynamodb: DynamoDBClient, *, from_now: bool
    ) -> Iterator[None]:
        import boto3  # noqa: PLC0415 - reads the environment, which is only now complete

        stream_arn = _stream_arn(dynamodb, self._template.table(source.table))
        reader = StreamReader(boto3.client("dynamodbstreams"), stream_arn, from_now=from_now)
        batches = Batches(source, self._invoke(source.function, handlers), self._poller.stopping)
        polled = reader if self._polls else Forgetting(reader, stream_arn)
        with self._poller.polling(polled, batches.deliver):
            self._streaming = True
            yield
            self._streaming = False

    def _queue(self, source: QueueSource, handlers: Mapping[str, Handler]) -> Reconcile:
        import boto3  # noqa: PLC0415 - see _stream

        sqs = boto3.client("sqs")
        queue = self._template.queue(source.queue)
        if queue.dead_letters is None:
            raise TemplateError(f"{source.queue} has no queue for its dead letters")
        dead_letters_url = aws.create_queue(sqs, self._template.queue(queue.dead_letters))
        [schedule] = schedules(self._template)
        queue_url = aws.create_queue(sqs, queue, dead_letters_url=dead_letters_url)
        work = QueueRunner(sqs, source, queue_url, self._invoke(source.function, handlers))
        return Reconcile(sqs, self._invoke(schedule.function, handlers), work, dead_letters_url)

    def _invoke(self, name: str, handlers: Mapping[str, Handler]) -> Callable[[dict[str, Any]], Any]:
        return partial(invoke_and_wait, self._template.functions[name], handlers[name])


class Forgetting:
    """A reader that lets moto forget what was read."""

    def __init__(self, reader: StreamReader, stream_arn: str) -> None:
        self._reader = reader
        self._stream_arn = stream_arn

    def read(self) -> Iterator[list[Record]]:
        through = None
        for records in self._reader.read():
            yield records
            through = records[-1]["dynamodb"]["SequenceNumber"]
        with aws.OneAtATime.lock:
            moto_memory.forget_stream(self._stream_arn, through)


def _stream_arn(dynamodb: DynamoDBClient, table: Table) -> str:
    """The stream's; a table from before that has none yet gets it now."""
    described = dynamodb.describe_table(TableName=table.name)["Table"]
    if "LatestStreamArn" not in described:
        specification = table.definition["StreamSpecification"]
        described = dynamodb.update_table(TableName=table.name, StreamSpecification=specification)["TableDescription"]
    return described["LatestStreamArn"]
