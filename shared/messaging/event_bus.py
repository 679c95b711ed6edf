"""Put change events on an EventBridge bus."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.changes import ChangeEvent

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "codat.customers"
MAX_ENTRIES = 10
"""EventBridge's limit for one call."""


class EventBus:
    def __init__(self, client: "EventBridgeClient", name: str) -> None:
        self._client = client
        self._name = name

    def put(self, events: Sequence[ChangeEvent]) -> dict[int, str]:
        """Put the events, and return the error code of each failed event by its position. AWS errors are not raised.

        If a request fails as a whole, its events and all later ones have failed.
        """
        common = {"EventBusName": self._name, "Source": SOURCE}
        failures: dict[int, str] = {}
        for start in range(0, len(events), MAX_ENTRIES):
            batch = events[start : start + MAX_ENTRIES]
            entries: Any = [
                {**common, "DetailType": event.detail_type, "Detail": json.dumps(dict(event.detail))} for event in batch
            ]
            try:
                answer = self._client.put_events(Entries=entries)
            except (BotoCoreError, ClientError) as error:
                code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
                return failures | dict.fromkeys(range(start, len(events)), code)
            if answer["FailedEntryCount"]:
                results = enumerate(answer["Entries"], start)
                failures |= {index: entry["ErrorCode"] for index, entry in results if "ErrorCode" in entry}
        return failures
