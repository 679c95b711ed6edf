"""The events that the app receives: one for each visible change of a customer or a connection.

EventBridge guarantees no order, so each event contains the `version` of its subject. A consumer ignores an event whose
version is not above its own.
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


@dataclass(frozen=True, slots=True)
class CustomerChange:
    """The customer before and after the change; None if it did not exist."""

    before: Customer | None
    after: Customer | None


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    before: Connection | None
    after: Connection | None


Change = CustomerChange | ConnectionChange


def change_event_for(change: Change) -> ChangeEvent | None:
    """Return the event for a change; None if the change is not visible to the app."""
    return _customer_event(change) if isinstance(change, CustomerChange) else _connection_event(change)


def _customer_event(change: CustomerChange) -> ChangeEvent | None:
    before, after = change.before, change.after
    if after is None:
        # Its version is above all published ones.
        return None if before is None else _customer_event_of("deleted", before, before.version + 1)
    if before is not None and before.profile == after.profile:
        return None
    return _customer_event_of("created" if before is None else "updated", after, after.version)


def _customer_event_of(kind: str, customer: Customer, version: int) -> ChangeEvent:
    ids = {"customerId": customer.customer_id, "companyId": customer.company_id}
    return ChangeEvent(f"customer.{kind}", {**ids, "version": version, "eventId": f"{customer.customer_id}:{version}"})


def _connection_event(change: ConnectionChange) -> ChangeEvent | None:
    before, after = change.before, change.after
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
