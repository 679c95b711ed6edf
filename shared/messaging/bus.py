"""Announcements on an EventBridge bus."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.changes import Announcement

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "codat.customers"
_MOST_ENTRIES = 10
"""EventBridge takes ten a call."""


class Bus:
    def __init__(self, client: "EventBridgeClient", name: str) -> None:
        self._client = client
        self._name = name

    def put(self, announcements: Sequence[Announcement]) -> dict[int, str]:
        """Which of them, by position, were not taken, and why; all that follow a call that failed count as such."""
        refused: dict[int, str] = {}
        for start in range(0, len(announcements), _MOST_ENTRIES):
            batch = announcements[start : start + _MOST_ENTRIES]
            try:
                answer = self._client.put_events(Entries=[self._entry(one) for one in batch])
            except (BotoCoreError, ClientError) as error:
                why = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
                return refused | dict.fromkeys(range(start, len(announcements)), why)
            if answer["FailedEntryCount"]:
                entries = enumerate(answer["Entries"], start)
                refused |= {index: entry["ErrorCode"] for index, entry in entries if "ErrorCode" in entry}
        return refused

    def _entry(self, one: Announcement) -> Any:
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": one.detail_type,
            "Detail": json.dumps(dict(one.detail)),
        }
