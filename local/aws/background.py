"""Run the event sources of template.yaml: the table's stream continuously, a reconcile on request."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from local.aws.batches import Batches
from local.aws.bus import Bus, bus_endpoint
from local.aws.event_sources import stream_sources
from local.aws.moto_server import after_writes
from local.aws.poller import Poller
from local.aws.reconcile import Reconcile, schedule_event
from local.aws.stream import StreamReader
from local.gateway.invocation import invoke_and_wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from wsgiref.types import WSGIApplication

    from mypy_boto3_dynamodb import DynamoDBClient

    from local.gateway.invocation import Handler
    from local.template import Template

logger = logging.getLogger("local.stream")

_POLL_INTERVAL = 0.1
# Events are returned after this time even if the publish function keeps failing.
_DRAIN_TIMEOUT = 10.0


class Background:
    """`polls` reads the stream at an interval, for a DynamoDB that can't report its writes (not moto)."""

    def __init__(self, template: Template, *, polls: bool) -> None:
        self.bus = Bus()
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
        import boto3  # noqa: PLC0415 - slow to import

        self._handlers = handlers
        self._reconcile = Reconcile(self._template, self._invoke)
        [source] = stream_sources(self._template)
        table = dynamodb.describe_table(TableName=self._template.table(source.table).name)["Table"]
        reader = StreamReader(boto3.client("dynamodbstreams"), table["LatestStreamArn"], from_now=from_now)
        batches = Batches(source, partial(self._invoke, source.function), self._poller.stopping)
        with self._poller.polling(reader.read, batches.deliver):
            yield

    def events(self) -> list[dict[str, Any]]:
        """Return the events on the bus, oldest first, including those of all earlier writes."""
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
