"""What the app is told: one announcement for each real change of a customer or a connection.

The bus promises no order, so each carries the `version` of what it tells of: whoever follows ignores one that is not
above the version that they have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.connections import Connection, Status
from shared.domain.customers import Customer


@dataclass(frozen=True, slots=True)
class Announcement:
    detail_type: str
    detail: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CustomerChange:
    """Before and after; None where there was none, or is none any more."""

    before: Customer | None
    after: Customer | None


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    before: Connection | None
    after: Connection | None


Change = CustomerChange | ConnectionChange


def announcement(change: Change) -> Announcement | None:
    """None where nothing changed that an app can see."""
    return _of_customer(change) if isinstance(change, CustomerChange) else _of_connection(change)


def _of_customer(change: CustomerChange) -> Announcement | None:
    before, after = change.before, change.after
    if after is None and before is not None:
        # Forgotten: above everything that was said of it.
        return Announcement("customer.deleted", _customer_detail(before, before.version + 1))
    if after is not None and before is None:
        return Announcement("customer.created", _customer_detail(after, after.version))
    if after is not None and before is not None and before.content != after.content:
        return Announcement("customer.updated", _customer_detail(after, after.version))
    return None


def _of_connection(change: ConnectionChange) -> Announcement | None:
    before, after = change.before, change.after
    if after is None:
        return None
    if before is None:
        kind = "deleted" if after.is_deleted else "created"
        return Announcement(f"connection.{kind}", _connection_detail(after, None))
    # A tombstone has lost whose it was.
    customer_id = after.customer_id or before.customer_id
    if after.is_deleted and not before.is_deleted:
        return Announcement("connection.deleted", _connection_detail(after, before.status, customer_id))
    if after.abandoned_at is not None and before.abandoned_at is None:
        return Announcement("connection.abandoned", _connection_detail(after, before.status, customer_id))
    if not after.is_deleted and _visible(before) != _visible(after):
        return Announcement("connection.updated", _connection_detail(after, before.status, customer_id))
    return None


def _visible(connection: Connection) -> tuple[Any, ...]:
    return (
        connection.customer_id,
        connection.status,
        connection.next_action,
        connection.error,
        connection.last_sync,
        connection.initial_read_at,
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
        "initialReadAt": connection.initial_read_at,
        "asOf": connection.as_of,
        "version": connection.version,
        "eventId": f"{connection.connection_id}:{connection.version}",
    }
