"""Send messages to an SQS queue."""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import QueueUnavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_MESSAGES = 10
"""SQS's limit for one call."""


class Queue:
    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, messages: Iterable[Mapping[str, Any]]) -> int:
        """Send the messages in batches as they are generated, and return their number. Raises QueueUnavailable."""
        remaining, sent = iter(messages), 0
        while batch := list(islice(remaining, MAX_MESSAGES)):
            entries: Any = [{"Id": str(index), "MessageBody": json.dumps(body)} for index, body in enumerate(batch)]
            try:
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            except (BotoCoreError, ClientError) as error:
                raise QueueUnavailable("The queue can't be reached.") from error
            if answer.get("Failed"):
                raise QueueUnavailable("The queue did not accept a message.")
            sent += len(batch)
        return sent
