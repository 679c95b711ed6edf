"""Authentic webhooks that the code did not understand, kept whole until it does."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from shared.domain.events import KeptWebhook
from shared.domain.instants import instant_of
from shared.store import keys
from shared.store.customers import TOMBSTONE_KEPT_FOR
from shared.store.table import Table, delete, put

KEPT_FOR = TOMBSTONE_KEPT_FOR
"""No longer: a replay must not bring back what was deleted, and of which no tombstone is left to tell."""


class Unreadables:
    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self, now: datetime) -> Iterator[KeptWebhook]:
        """What is kept, oldest first."""
        for days_ago in range(KEPT_FOR.days, -1, -1):
            pk, _ = keys.unreadable(instant_of(now - timedelta(days=days_ago)), "")
            for item in self._table.query(pk, ""):
                yield KeptWebhook(item["sk"], item["body"], item["why"], item["receivedAt"])

    def forget(self, kept: KeptWebhook) -> None:
        """It has been understood, and its effect is stored."""
        self._table.write(delete(keys.unreadable(kept.received_at, kept.webhook_id)))

    def keep(self, webhook_id: str, body: bytes, why: str, now: datetime) -> None:
        """Stores the raw body under the day and the message's id; a retry of the message writes the same item."""
        received_at = instant_of(now)
        pk, sk = keys.unreadable(received_at, webhook_id)
        self._table.write(
            put(
                {
                    "pk": pk,
                    "sk": sk,
                    "receivedAt": received_at,
                    "why": why,
                    "body": body,
                    "expiresAt": int((now + KEPT_FOR).timestamp()),
                }
            )
        )
