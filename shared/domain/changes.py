"""The events that the app receives, one for each visible change.

EventBridge guarantees no order: a consumer ignores an event whose `version` is not above its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.connections import Connection
from shared.domain.customers import Customer
from shared.domain.documents import connection_document

_NOT_IN_EVENTS = {"sourceType", "createdAt", "updatedAt"}
_NO_CHANGE_ALONE = {"createdAt", "updatedAt", "asOf"}


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    detail_type: str
    detail: Mapping[str, Any] = field(repr=False)


def customer_event(before: Customer | None, after: Customer | None) -> ChangeEvent | None:
    """Return the event for a change of a customer; None if the change is not visible to the app."""
    customer = after or before
    if customer is None or (before is not None and after is not None and before.profile == after.profile):
        return None
    # The version of a deletion is above all published ones.
    version = customer.version if after is not None else customer.version + 1
    kind = "deleted" if after is None else "created" if before is None else "updated"
    ids = {"customerId": customer.customer_id, "companyId": customer.company_id}
    return ChangeEvent(f"customer.{kind}", {**ids, "version": version, "eventId": f"{customer.customer_id}:{version}"})


def connection_event(before: Connection | None, after: Connection | None) -> ChangeEvent | None:
    """Return the event for a change of a connection; None if the change is not visible to the app."""
    kind = None if after is None else _kind_of_change(before, after)
    if after is None or kind is None:
        return None
    detail = {
        **_without(_NOT_IN_EVENTS, after),
        # A tombstone no longer contains its customer.
        "customerId": after.customer_id or (before.customer_id if before else ""),
        "previousStatus": before.status if before else None,
        "version": after.version,
        "eventId": f"{after.connection_id}:{after.version}",
    }
    return ChangeEvent(f"connection.{kind}", detail)


def _kind_of_change(before: Connection | None, after: Connection) -> str | None:
    if before is None:
        return "deleted" if after.is_deleted else "created"
    if after.is_deleted:
        return None if before.is_deleted else "deleted"
    if after.abandoned_at is not None and before.abandoned_at is None:
        return "abandoned"
    return "updated" if _without(_NO_CHANGE_ALONE, before) != _without(_NO_CHANGE_ALONE, after) else None


def _without(names: set[str], connection: Connection) -> dict[str, Any]:
    return {name: value for name, value in connection_document(connection).items() if name not in names}
