"""The table's stream, in the words of the domain."""

from collections.abc import Mapping
from typing import Any

from shared.domain.changes import Change, ConnectionChange, CustomerChange
from shared.domain.connections import Connection
from shared.store import keys
from shared.store.connections import connection_of
from shared.store.customers import customer_of
from shared.store.table import Item, unmarshal

_BY_TTL = "dynamodb.amazonaws.com"


def change_of(record: Mapping[str, Any]) -> Change | None:
    """The change that a stream record tells; None for other kinds of items, and for what only the TTL removed."""
    if record.get("userIdentity", {}).get("principalId") == _BY_TTL:
        return None
    stream = record["dynamodb"]
    before, after = (unmarshal(stream[image]) if stream.get(image) else None for image in ("OldImage", "NewImage"))
    sort_key = stream["Keys"]["sk"]["S"]
    if sort_key == keys.CUSTOMER:
        return CustomerChange(*(customer_of(item) if item else None for item in (before, after)))
    if sort_key.startswith(keys.CONNECTION_PREFIX):
        return ConnectionChange(_heard(before), _heard(after))
    return None


def _heard(item: Item | None) -> Connection | None:
    connection = connection_of(item) if item is not None else None
    return connection if connection is not None and connection.is_heard else None
