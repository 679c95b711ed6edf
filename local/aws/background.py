"""Run the event sources of template.yaml: the table's stream continuously, a reconcile on request."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3

from local.aws.batches import BatchDelivery
from local.aws.bus import Bus, bus_endpoint
from local.aws.event_sources import queue_sources, schedule_event, scheduled_functions, stream_sources
from local.aws.moto_server import after_writes
from local.aws.poller import Poller
from local.aws.queue_runner import QueueRunner
from local.aws.resources import create_queue
from local.aws.stream import StreamReader
from local.gateway.invocation import invoke_and_wait
from local.template import Template, TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from wsgiref.types import WSGIApplication

    from mypy_boto3_dynamodb import DynamoDBClient

    from local.gateway.invocation import Handler

logger = logging.getLogger("local.stream")

_POLL_INTERVAL = 0.1
# Events are returned after this time even if the publish function keeps failing.
_DRAIN_TIMEOUT = 10.0


class Background:
    """`polls` reads the stream at an interval, for a DynamoDB that can't report its writes (not moto).

    `on_event` gets each event that is put on the bus.
    """

    def __init__(
        self, template: Template, *, polls: bool, on_event: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self.bus = Bus(on_event)
        self._template = template
        self._poller = Poller(interval=_POLL_INTERVAL if polls else None)
        self._handlers: Mapping[str, Handler] = {}
        self._reconcile: Reconcile | None = None

    def middleware(self, app: WSGIApplication) -> WSGIApplication:
        """Wrap moto: the bus handles PutEvents, and writes notify the poller."""
        return bus_endpoint(self.bus, after_writes(app, self._poller.notify))

    @contextmanager
    def running(self, handlers: Mapping[str, Handler], dynamodb: DynamoDBClient, *, from_now: bool) -> Iterator[None]:
        """`from_now` skips the records that the stream already holds."""
        self._handlers = handlers
        self._reconcile = Reconcile(self._template, self._invoke)
        [source] = stream_sources(self._template)
        table = dynamodb.describe_table(TableName=self._template.table(source.table).name)["Table"]
        reader = StreamReader(boto3.client("dynamodbstreams"), table["LatestStreamArn"], from_now=from_now)
        batches = BatchDelivery(source, partial(self._invoke, source.function), self._poller.stopping)
        with self._poller.polling(reader.read, batches.deliver):
            yield

    def events(self) -> list[dict[str, Any]]:
        """Return the events on the bus, oldest first. Wait up to 10 s for those of earlier writes."""
        if not self._poller.drain(_DRAIN_TIMEOUT):
            logger.warning("Some writes are not published yet")
        return self.bus.events()

    def reconcile(self, *, adopt_ours: bool = False) -> dict[str, Any]:
        """Run a reconcile and return its counts. `adopt_ours` is the operator's option after a restore.

        Raises FunctionError if the scheduled function fails.
        """
        assert self._reconcile, "not running"  # noqa: S101
        return self._reconcile.run({"adoptOurs": True} if adopt_ours else schedule_event())

    def _invoke(self, function: str, event: dict[str, Any]) -> Any:
        return invoke_and_wait(self._template.functions[function], self._handlers[function], event)


class Reconcile:
    """The template's reconcile queue, with `invoke(function, event)`. Runs are serialized."""

    def __init__(self, template: Template, invoke: Callable[[str, dict[str, Any]], Any]) -> None:
        [source] = queue_sources(template)
        [self._scheduled_function] = scheduled_functions(template)
        queue = template.queue(source.queue)
        if queue.dead_letters is None:
            raise TemplateError(f"{source.queue} has no dead-letter queue")
        self._invoke = invoke
        self._sqs = boto3.client("sqs")
        self._dead_letters_url = create_queue(self._sqs, template.queue(queue.dead_letters))
        queue_url = create_queue(self._sqs, queue, dead_letters_url=self._dead_letters_url)
        self._queue = QueueRunner(self._sqs, source, queue_url, lambda event: invoke(source.function, event))
        self._lock = threading.Lock()

    def run(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the sums of the function's counts, and as `failed` the number of new dead letters.

        Raises FunctionError if the scheduled function fails.
        """
        with self._lock:
            dead_letters_before = self._count_dead_letters()
            counts = Counter({"companies": 0, "connections": 0, "drift": 0})
            self._invoke(self._scheduled_function, event)
            for result in self._queue.drain():
                counts.update((result or {}).get("found", {}))
            return {**counts, "failed": self._count_dead_letters() - dead_letters_before}

    def _count_dead_letters(self) -> int:
        response = self._sqs.get_queue_attributes(
            QueueUrl=self._dead_letters_url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(response["Attributes"]["ApproximateNumberOfMessages"])
