"""Invoke a function for the messages of an SQS queue until the queue is empty.

The queue counts receives and moves messages to its dead-letter queue. Failed messages become visible at once.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from local.aws.batches import failed_ids
from local.gateway.invocation import FunctionError
from local.template import ACCOUNT_ID, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from local.aws.event_sources import QueueSource

logger = logging.getLogger("local.queue")


class QueueRunner:
    def __init__(
        self, sqs: SQSClient, source: QueueSource, queue_url: str, invoke: Callable[[dict[str, Any]], Any]
    ) -> None:
        self._sqs = sqs
        self._source = source
        self._queue_url = queue_url
        self._invoke = invoke

    def drain(self) -> Iterator[Any]:
        """Yield the result of each invocation until the queue is empty."""
        with ThreadPoolExecutor(self._source.concurrency) as pool:
            while batches := [batch for _ in range(self._source.concurrency) if (batch := self._receive())]:
                yield from pool.map(self._process, batches)

    def _receive(self) -> list[MessageTypeDef]:
        response = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=self._source.batch_size,
            MessageSystemAttributeNames=["All"],
        )
        return response.get("Messages", [])

    def _process(self, messages: list[MessageTypeDef]) -> Any:
        """Delete the messages, or make them visible again if they failed."""
        ids = [message["MessageId"] for message in messages]
        try:
            result = self._invoke({"Records": [_sqs_record(message) for message in messages]})
            failed = failed_ids(result, ids) if self._source.reports_failures else set()
        except FunctionError:
            logger.exception("Function failed")
            result, failed = None, set(ids)
        for message in messages:
            receipt: Any = {"QueueUrl": self._queue_url, "ReceiptHandle": message["ReceiptHandle"]}
            if message["MessageId"] in failed:
                self._sqs.change_message_visibility(**receipt, VisibilityTimeout=0)
            else:
                self._sqs.delete_message(**receipt)
        return result


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
