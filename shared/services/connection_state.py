"""Store connections as Codat reports them, with their timeline."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from shared.domain import connections
from shared.domain.connections import Connection, ConnectionList, Precedence, Status, StatusUpdate
from shared.domain.customers import Customer
from shared.domain.errors import CodatNotFound, CompanyGone, StoreUnavailable
from shared.domain.events import InitialReadEvent
from shared.domain.leases import CreationLease
from shared.domain.timeline import TimelineEntry, timeline_entry
from shared.domain.timestamps import Timestamp
from shared.services.context import CodatContext, Context

MAX_CONFLICTS = 25
"""Each conflict is another writer's success, so more in one call point to a fault."""

Change = Callable[[Connection, Timestamp], Connection]
"""Returns the changed connection at the given time, or the same object if there is no change."""


def record_update(
    update: StatusUpdate,
    context: Context,
    *,
    customer_id: str,
    event_type: str,
    stored: Connection | None,
    ended: CreationLease | None = None,
    link_issued: bool = False,
) -> Connection:
    """Store the connection after `update` together with its timeline entry, and return it.

    `stored` is the connection as it was before the request; None if it was not read or is not stored. An answer of
    Codat's counts as newer. `event_type` is the entry's type. `ended` is the lease that ends with this update. Set
    `link_issued` if the caller receives the update's link. Raises CompanyGone if the customer doesn't own the company
    (any more), CreationInProgress if `ended` was lost, and StoreUnavailable.
    """
    if update.precedence is not Precedence.EVENT:
        update = connections.stamp_answer(update, stored, context.new_id())

    def change(connection: Connection, now: Timestamp) -> Connection:
        merged = connections.merge(connection, update, now)
        if connection.is_placeholder and context.platforms.needs_connector(merged.source.platform_key):
            merged = connections.with_connector(merged, now)
        return connections.with_issued_link(merged, now) if link_issued and update.link_url else merged

    identity = update.company_id, update.connection_id, customer_id
    entry = partial(timeline_entry, update, event_type, context.actor)
    return _save(identity, change, context, stored=stored, entry=entry, ended=ended)


def sync_connections(
    listed: ConnectionList, customer: Customer, context: CodatContext, *, event_type: str
) -> list[Connection]:
    """Store Codat's list of a company's connections, and return those that are not deleted, oldest first.

    A stored connection that the list lacks is read by its id; if a listed one can't be parsed, its
    stored state is returned unchanged. Raises as `sync_connection`.
    """
    stored = {each.connection_id: each for each in context.connections.of_company(customer.company_id)}
    updates = {update.connection_id: update for update in listed.updates}
    unparseable = {connection_id for connection_id, _ in listed.unparseable} - updates.keys()
    synced = [
        stored[each]
        if each in unparseable
        else sync_connection(
            each, customer, context, listed=updates.get(each), stored=stored.get(each), event_type=event_type
        )
        for each in sorted({*stored, *updates})
    ]
    existing = [connection for connection in synced if connection is not None and not connection.is_deleted]
    return sorted(existing, key=lambda connection: (connection.created_at, connection.connection_id))


def sync_connection(
    connection_id: str,
    customer: Customer,
    context: CodatContext,
    *,
    listed: StatusUpdate | None,
    stored: Connection | None,
    event_type: str,
) -> Connection | None:
    """Store a connection as Codat has it, and return it; None if neither Codat nor the table has it.

    A deleted one is returned unchanged. `listed` comes from a list of Codat's, which lags behind: only a newer
    `lastSync` is taken from it. Unless it agrees with `stored`, the connection is read by its id. `event_type` is the
    timeline entry's type if the connection is new. Raises CompanyGone, StoreUnavailable and Codat's errors.
    """
    if stored is not None and stored.is_deleted:
        return stored
    has_same_customer = stored is not None and stored.customer_id == customer.customer_id
    if stored is not None and listed is not None and has_same_customer and not listed.differs_from(stored):
        if not listed.has_newer_sync(stored):
            return stored
        # The list's status may be older than an event that is still to arrive.
        update = replace(listed, status=None, error=None)
    else:
        try:
            update = context.codat.connection(customer.company_id, connection_id)
        except CodatNotFound:
            return None if stored is None else record_deletion(stored, context)
    event_type = event_type if stored is None else "read"
    return record_update(update, context, customer_id=customer.customer_id, event_type=event_type, stored=stored)


def record_deletion(
    stored: Connection, context: Context, *, deleted_at: Timestamp | None = None, event_type: str = "read"
) -> Connection:
    """Store the connection as deleted.

    `deleted_at` is the time of our request, on Codat's clock; None after a 404, which means now. Raises as
    `record_update`.
    """
    precedence = Precedence.READ if deleted_at is None else Precedence.OUR_CHANGE
    update = StatusUpdate(
        stamp=connections.stamp(deleted_at or context.timestamp(), precedence),
        company_id=stored.company_id,
        connection_id=stored.connection_id,
        source=stored.source,
        created_at=stored.created_at,
        status=Status.DELETED,
    )
    return record_update(update, context, customer_id=stored.customer_id, event_type=event_type, stored=stored)


def record_initial_read(
    event: InitialReadEvent, connection_id: str, context: Context, *, customer_id: str, stored: Connection | None
) -> Connection:
    """Store the event's initial read of this connection, in a placeholder if the connection is not stored yet.

    Raises CompanyGone and StoreUnavailable.
    """
    read = event.reads[connection_id]
    identity = event.company_id, connection_id, customer_id
    change = partial(connections.with_initial_read, read=read)
    entry = partial(timeline_entry, read, event.event_type, context.actor)
    return _save(identity, change, context, stored=stored, entry=entry)


def record_change(stored: Connection, change: Change, context: Context) -> Connection:
    """Store a change that Codat didn't report, so without a timeline entry. `change` is repeated after a conflict."""
    identity = stored.company_id, stored.connection_id, stored.customer_id
    return _save(identity, change, context, stored=stored)


def _save(
    identity: tuple[str, str, str],
    change: Change,
    context: Context,
    *,
    stored: Connection | None,
    entry: Callable[[Connection | None, Connection], TimelineEntry | None] | None = None,
    ended: CreationLease | None = None,
) -> Connection:
    """Change the connection and write it with its timeline entry. Repeat if another process has written in between.

    Raises StoreUnavailable after MAX_CONFLICTS.
    """
    company_id, connection_id, customer_id = identity
    for _ in range(MAX_CONFLICTS):
        now = context.timestamp()
        before = stored or connections.placeholder(company_id, connection_id, customer_id, now)
        if before.is_tombstone:
            # The company was deleted. A write would remove the tombstone's TTL.
            if ended is not None:
                raise CompanyGone(customer_id)
            return before
        # A company's new owner also owns its connections.
        before = replace(before, customer_id=customer_id)
        after = change(before, now)
        visible = None if stored is None or stored.is_placeholder else stored
        new_entry = None if entry is None else entry(visible, after)
        if after is before:
            if new_entry is not None:
                context.connections.add_entry(new_entry, customer_id)
            if ended is None:
                return after
        saved = context.connections.save(after, None if after is before else new_entry, ended)
        if saved is not None:
            return saved
        stored = context.connections.find(company_id, connection_id)
    raise StoreUnavailable("The connection is being changed too often. Repeat the call later.")
