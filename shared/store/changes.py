"""Converting records of the table's stream to change events."""

from collections.abc import Mapping
from typing import Any

from shared.domain.changes import ChangeEvent, connection_event, customer_event
from shared.domain.connections import Connection
from shared.store import keys
from shared.store.attributes import Item, unmarshal
from shared.store.connections import connection_from_item
from shared.store.customers import customer_from_item


def change_event(record: Mapping[str, Any]) -> ChangeEvent | None:
    """Return the event for a stream record of a customer or connection; None if the app sees no change.

    The template filters out records of other items, and removals by the TTL.
    """
    stream = record["dynamodb"]
    before, after = (unmarshal(stream[image]) if stream.get(image) else None for image in ("OldImage", "NewImage"))
    if stream["Keys"]["sk"]["S"] == keys.CUSTOMER:
        return customer_event(*(customer_from_item(item) if item else None for item in (before, after)))
    return connection_event(_visible(before), _visible(after))


def _visible(item: Item | None) -> Connection | None:
    connection = connection_from_item(item) if item is not None else None
    return connection if connection is not None and not connection.is_placeholder else None
