"""Authentic webhooks that could not be parsed, stored until a newer version can parse them."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from shared.domain.events import QuarantinedWebhook
from shared.domain.timestamps import timestamp_of
from shared.store import keys
from shared.store.customers import TOMBSTONE_LIFETIME
from shared.store.table import Table, delete, put

LIFETIME = TOMBSTONE_LIFETIME
"""At most a tombstone's: a replay must not restore a deleted company whose tombstone has expired."""


class Quarantine:
    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self, now: datetime) -> Iterator[QuarantinedWebhook]:
        """Yield the quarantined webhooks, by the day of their arrival."""
        for days_ago in range(LIFETIME.days, -1, -1):
            for item in self._table.query(*keys.quarantined(timestamp_of(now - timedelta(days=days_ago)), "")):
                yield QuarantinedWebhook(item["sk"], item["body"], item["cause"], item["receivedAt"])

    def remove(self, webhook: QuarantinedWebhook) -> None:
        self._table.write(delete(keys.quarantined(webhook.received_at, webhook.webhook_id)))

    def add(self, webhook_id: str, body: bytes, cause: str, now: datetime) -> None:
        """Store the raw body under the day and the message's id, so that a retry writes the same item."""
        received_at = timestamp_of(now)
        item = {
            **keys.attributes(keys.quarantined(received_at, webhook_id)),
            "receivedAt": received_at,
            "cause": cause,
            "body": body,
            "expiresAt": int((now + LIFETIME).timestamp()),
        }
        self._table.write(put(item))
