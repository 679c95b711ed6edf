"""A queue worked off to its end by the function behind it.

Messages, retries and dead letters are those of the queue; only nobody waits for a time-out to pass.
"""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from local.batches import failed_items
from local.gateway.invocation import FunctionError
from local.template import ACCOUNT_ID, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from local.event_sources import QueueSource

logger = logging.getLogger("local.queue")


class QueueRunner:
    """`work` invokes the function."""

    def __init__(
        self, sqs: SQSClient, source: QueueSource, queue_url: str, work: Callable[[dict[str, Any]], Any]
    ) -> None:
        self._sqs = sqs
        self._source = source
        self._queue_url = queue_url
        self._work = work

    def drain(self) -> Iterator[Any]:
        """What the function returned, invocation by invocation, until nothing is left in the queue."""
        with ThreadPoolExecutor(self._source.workers) as pool:
            running: set[Future[Any]] = set()
            while True:
                while len(running) < self._source.workers and (messages := self._receive()):
                    running.add(pool.submit(self._handle, messages))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()

    def _receive(self) -> list[MessageTypeDef]:
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=self._source.batch_size,
            MessageSystemAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def _handle(self, messages: list[MessageTypeDef]) -> Any:
        """Its messages are deleted afterwards, or back in the queue at once."""
        ids = [message["MessageId"] for message in messages]
        try:
            answer = self._work(sqs_event(messages))
            failed = failed_items(answer, ids) if self._source.reports_failures else set()
        except FunctionError:
            logger.exception("Function failed")
            answer, failed = None, set(ids)
        for message in messages:
            place: Any = {"QueueUrl": self._queue_url, "ReceiptHandle": message["ReceiptHandle"]}
            if message["MessageId"] in failed:
                self._sqs.change_message_visibility(**place, VisibilityTimeout=0)
            else:
                self._sqs.delete_message(**place)
        return answer


def sqs_event(messages: list[MessageTypeDef]) -> dict[str, Any]:
    return {
        "Records": [
            {
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
            for message in messages
        ]
    }
