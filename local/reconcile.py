"""A reconcile from its schedule to its end: the plan, and then the messages that it queued."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.template import ACCOUNT_ID, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient

    from local.queue_runner import QueueRunner


class Reconcile:
    """One at a time. `plan` invokes the function that the schedule starts."""

    def __init__(
        self, sqs: SQSClient, plan: Callable[[dict[str, Any]], Any], work: QueueRunner, dead_letters_url: str
    ) -> None:
        self._sqs = sqs
        self._plan = plan
        self._work = work
        self._dead_letters_url = dead_letters_url
        self._running = threading.Lock()

    def run(self, event: dict[str, Any]) -> dict[str, Any]:
        """The sum of what was found, and `failed`: how many messages ended among the dead letters.

        Raises FunctionError where nothing could be planned.
        """
        with self._running:
            dead = self._dead_letters()
            found = Counter({"companies": 0, "connections": 0, "drift": 0})
            self._plan(event)
            for answer in self._work.drain():
                # Lambda itself takes no notice of it.
                found.update((answer or {}).get("found", {}))
            return {**found, "failed": self._dead_letters() - dead}

    def _dead_letters(self) -> int:
        answer = self._sqs.get_queue_attributes(
            QueueUrl=self._dead_letters_url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def schedule_event() -> dict[str, Any]:
    """What EventBridge Scheduler hands to a function for which no input of its own was set."""
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
