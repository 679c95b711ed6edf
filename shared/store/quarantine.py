"""Authentic webhooks that could not be parsed, stored until a newer version can parse them."""

from datetime import datetime

from shared.domain.timestamps import timestamp_of
from shared.store import keys
from shared.store.customers import TOMBSTONE_LIFETIME
from shared.store.table import Condition, Table, check, put

LIFETIME = TOMBSTONE_LIFETIME
"""At most a tombstone's: a replay must not restore a deleted company whose tombstone has expired."""

_HAS_CUSTOMER = Condition("attribute_exists(customerId) AND attribute_not_exists(ended)")


class Quarantine:
    """A body is erased with the customer of its company, if the company can be read; otherwise it expires."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, webhook_id: str, body: bytes, cause: str, company_id: str | None, now: datetime) -> bool:
        """Store a webhook; a retry replaces it. Return False if its company has no customer here."""
        key = keys.quarantined(webhook_id, company_id)
        item = {
            **keys.attributes(key),
            "webhookId": webhook_id,
            "companyId": company_id,
            "receivedAt": timestamp_of(now),
            "cause": cause,
            "body": body,
            "statusShard": keys.QUARANTINE,
            "statusKey": f"{timestamp_of(now)}#{key[1]}",
            "expiresAt": int((now + LIFETIME).timestamp()),
        }
        if company_id is None:
            return self._table.try_write(put(item))
        return self._table.try_write(check(keys.company(company_id), _HAS_CUSTOMER), put(item))
