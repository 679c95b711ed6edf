"""Authentic webhooks that could not be parsed, stored until a newer version can parse them."""

from datetime import datetime

from shared.domain.events import QuarantinedWebhook
from shared.store import keys
from shared.store.connections import INDEX
from shared.store.customers import TOMBSTONE_LIFETIME
from shared.store.paging import ShardedQuery
from shared.store.table import Condition, Table, check, delete, put

LIFETIME = TOMBSTONE_LIFETIME
"""At most a tombstone's: a replay must not restore a deleted company whose tombstone has expired."""

_HAS_CUSTOMER = Condition("attribute_exists(customerId) AND attribute_not_exists(ended)")


class Quarantine:
    """A body is erased with the customer of its company, if the company can be read; otherwise it expires."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self) -> list[QuarantinedWebhook]:
        """Return the quarantined webhooks, oldest first."""
        entries = ShardedQuery(self._table, INDEX, "statusShard", "statusKey", [keys.QUARANTINE]).all()
        items = self._table.get_many((entry["pk"], entry["sk"]) for entry in entries)
        webhooks = [
            QuarantinedWebhook(
                item["webhookId"], item["body"], item["cause"], item["receivedAt"], item.get("companyId")
            )
            for item in items.values()
        ]
        return sorted(webhooks, key=lambda webhook: (webhook.received_at, webhook.webhook_id))

    def remove(self, webhook: QuarantinedWebhook) -> None:
        self._table.write(delete(keys.quarantined(webhook.webhook_id, webhook.company_id)))

    def add(self, webhook: QuarantinedWebhook, now: datetime) -> bool:
        """Store a webhook; a retry writes the same item. Return False if its company has no customer here."""
        key = keys.quarantined(webhook.webhook_id, webhook.company_id)
        item = {
            **keys.attributes(key),
            "webhookId": webhook.webhook_id,
            "companyId": webhook.company_id,
            "receivedAt": webhook.received_at,
            "cause": webhook.cause,
            "body": webhook.body,
            "statusShard": keys.QUARANTINE,
            "statusKey": f"{webhook.received_at}#{key[1]}",
            "expiresAt": int((now + LIFETIME).timestamp()),
        }
        if webhook.company_id is None:
            return self._table.try_write(put(item))
        return self._table.try_write(check(keys.company(webhook.company_id), _HAS_CUSTOMER), put(item))
