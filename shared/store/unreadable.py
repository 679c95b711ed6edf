"""Authentic webhooks that the code did not understand, kept whole until it does."""

from datetime import datetime, timedelta

from shared.domain.instants import instant_of
from shared.store import keys
from shared.store.table import Table, put

KEPT_FOR = timedelta(days=90)


class Unreadables:
    def __init__(self, table: Table) -> None:
        self._table = table

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
