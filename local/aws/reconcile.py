"""Run a reconcile: invoke the scheduled function, then process the messages it queued."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.aws.event_sources import queue_sources, scheduled_functions
from local.aws.queue_runner import QueueRunner
from local.aws.resources import create_queue
from local.template import ACCOUNT_ID, DEFAULT_REGION, Template, TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable


class Reconcile:
    """The template's reconcile queue, with `invoke(function, event)`. Runs are serialized."""

    def __init__(self, template: Template, invoke: Callable[[str, dict[str, Any]], Any]) -> None:
        import boto3  # noqa: PLC0415 - slow to import

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
