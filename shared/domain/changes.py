"""The events that the app receives: one for each real change of a customer or a connection.

The bus guarantees no order, so each event carries the `version` of its subject. A consumer ignores an event whose
version is not above the one it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.connections import Connection, Status
from shared.domain.customers import Customer


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    detail_type: str
    detail: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CustomerChange:
    """Before and after; None if it did not exist."""

    before: Customer | None
    after: Customer | None


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    before: Connection | None
    after: Connection | None


Change = CustomerChange | ConnectionChange


def change_event_for(change: Change) -> ChangeEvent | None:
    """Return the event for a change; None if nothing changed that an app can see."""
    return _customer_event(change) if isinstance(change, CustomerChange) else _connection_event(change)


def _customer_event(change: CustomerChange) -> ChangeEvent | None:
    before, after = change.before, change.after
    if after is None and before is not None:
        # Above every version that was published of it.
        return ChangeEvent("customer.deleted", _customer_detail(before, before.version + 1))
    if after is not None and before is None:
        return ChangeEvent("customer.created", _customer_detail(after, after.version))
    if after is not None and before is not None and before.profile != after.profile:
        return ChangeEvent("customer.updated", _customer_detail(after, after.version))
    return None


def _connection_event(change: ConnectionChange) -> ChangeEvent | None:
    before, after = change.before, change.after
    if after is None:
        return None
    if before is None:
        kind = "deleted" if after.is_deleted else "created"
        return ChangeEvent(f"connection.{kind}", _connection_detail(after, None))
    # A tombstone no longer contains its customer.
    customer_id = after.customer_id or before.customer_id
    if after.is_deleted and not before.is_deleted:
        return ChangeEvent("connection.deleted", _connection_detail(after, before.status, customer_id))
    if after.abandoned_at is not None and before.abandoned_at is None:
        return ChangeEvent("connection.abandoned", _connection_detail(after, before.status, customer_id))
    if not after.is_deleted and _visible(before) != _visible(after):
        return ChangeEvent("connection.updated", _connection_detail(after, before.status, customer_id))
    return None


def _visible(connection: Connection) -> tuple[Any, ...]:
    return (
        connection.customer_id,
        connection.status,
        connection.next_action,
        connection.error,
        connection.last_sync,
        connection.linked_at,
        connection.initial_read_at,
        connection.initial_read_issues,
        connection.source,
    )


def _customer_detail(customer: Customer, version: int) -> Mapping[str, Any]:
    return {
        "customerId": customer.customer_id,
        "companyId": customer.company_id,
        "version": version,
        "eventId": f"{customer.customer_id}:{version}",
    }


def _connection_detail(
    connection: Connection, previous: Status | None, customer_id: str | None = None
) -> Mapping[str, Any]:
    return {
        "connectionId": connection.connection_id,
        "customerId": customer_id or connection.customer_id,
        "companyId": connection.company_id,
        "platformKey": connection.source.platform_key,
        "platformName": connection.source.platform_name,
        "status": connection.status,
        "previousStatus": previous,
        "nextAction": connection.next_action,
        "reason": connection.error,
        "lastSync": connection.last_sync,
        "linkedAt": connection.linked_at,
        "initialReadAt": connection.initial_read_at,
        "initialReadIssues": issue_documents(connection),
        "asOf": connection.as_of,
        "version": connection.version,
        "eventId": f"{connection.connection_id}:{connection.version}",
    }


def issue_documents(connection: Connection) -> list[dict[str, str]]:
    """Return a connection's `initialReadIssues`, as the API and the events show them."""
    return [{"dataType": data_type, "status": status} for data_type, status in connection.initial_read_issues]
