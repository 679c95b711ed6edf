"""Work for later, on an SQS queue."""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import QueueUnavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MOST_MESSAGES = 10
"""SQS takes ten a call."""


class Queue:
    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, messages: Iterable[Mapping[str, Any]]) -> int:
        """Sends them as they come, so that their number needs no memory; how many there were.

        Raises QueueUnavailable where one was not taken.
        """
        waiting, sent = iter(messages), 0
        while batch := list(islice(waiting, _MOST_MESSAGES)):
            entries: Any = [{"Id": str(index), "MessageBody": json.dumps(one)} for index, one in enumerate(batch)]
            try:
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            except (BotoCoreError, ClientError) as error:
                raise QueueUnavailable("The queue is out of reach.") from error
            if answer.get("Failed"):
                raise QueueUnavailable("The queue did not take a message.")
            sent += len(batch)
        return sent
