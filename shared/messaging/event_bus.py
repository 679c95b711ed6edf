"""Change events on an EventBridge bus."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.changes import ChangeEvent

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "codat.customers"
MAX_ENTRIES = 10
"""EventBridge accepts ten a call."""


class EventBus:
    def __init__(self, client: "EventBridgeClient", name: str) -> None:
        self._client = client
        self._name = name

    def put(self, events: Sequence[ChangeEvent]) -> dict[int, str]:
        """Return the position of each event that was not accepted, with the error code.

        After a call that failed, all following events count as not accepted.
        """
        failures: dict[int, str] = {}
        for start in range(0, len(events), MAX_ENTRIES):
            batch = events[start : start + MAX_ENTRIES]
            try:
                answer = self._client.put_events(Entries=[self._entry(event) for event in batch])
            except (BotoCoreError, ClientError) as error:
                code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
                return failures | dict.fromkeys(range(start, len(events)), code)
            if answer["FailedEntryCount"]:
                entries = enumerate(answer["Entries"], start)
                failures |= {index: entry["ErrorCode"] for index, entry in entries if "ErrorCode" in entry}
        return failures

    def _entry(self, event: ChangeEvent) -> Any:
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": event.detail_type,
            "Detail": json.dumps(dict(event.detail)),
        }
