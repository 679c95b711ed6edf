"""Run a reconcile: the scheduled function queues messages, and the worker function gets each of them."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3

from local.aws.resources import create_queues
from local.gateway.invocation import FunctionError
from local.template import ACCOUNT_ID, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from local.template import Template

logger = logging.getLogger("local.queue")

PLAN_FUNCTION = "PlanReconcileFunction"
WORKER_FUNCTION = "ReconcileFunction"


class Reconcile:
    """The template's reconcile queue, with `invoke(function, event)`. Runs are serialized."""

    def __init__(self, template: Template, invoke: Callable[[str, dict[str, Any]], Any]) -> None:
        self._invoke = invoke
        self._sqs = boto3.client("sqs")
        self._queue_url, self._dead_letters_url = create_queues(self._sqs, template)
        self._lock = threading.Lock()

    def run(self, *, adopt_ours: bool = False) -> dict[str, Any]:
        """Return the sums of the function's counts, and as `failed` the number of new dead letters.

        `adopt_ours` is the operator's option after a restore. Raises FunctionError if the scheduled function fails.
        """
        with self._lock:
            dead_letters_before = self._count_dead_letters()
            counts = Counter({"companies": 0, "connections": 0, "drift": 0})
            self._invoke(PLAN_FUNCTION, {"adoptOurs": True} if adopt_ours else schedule_event())
            for result in process_queue(self._sqs, self._queue_url, lambda event: self._invoke(WORKER_FUNCTION, event)):
                counts.update(result.get("found", {}))
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


def process_queue(sqs: SQSClient, queue_url: str, invoke: Callable[[dict[str, Any]], Any]) -> Iterator[dict[str, Any]]:
    """Invoke with one message at a time, and yield the results, until the queue is empty.

    The queue counts receives and moves messages to its dead-letter queue. A failed message becomes visible at once.
    """
    while messages := sqs.receive_message(QueueUrl=queue_url, MessageSystemAttributeNames=["All"]).get("Messages"):
        [message] = messages
        try:
            result = invoke({"Records": [_sqs_record(message)]}) or {}
            has_failed = bool(result.get("batchItemFailures"))
        except FunctionError:
            logger.exception("Function failed")
            result, has_failed = {}, True
        receipt = message["ReceiptHandle"]
        if has_failed:
            sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=receipt, VisibilityTimeout=0)
        else:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=receipt)
        yield result


def _sqs_record(message: MessageTypeDef) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{DEFAULT_REGION}:{ACCOUNT_ID}:local",
        "awsRegion": DEFAULT_REGION,
    }
