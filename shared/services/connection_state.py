"""Storing what Codat reports of a connection."""

from collections.abc import Callable
from dataclasses import replace

from shared.domain.connections import (
    Connection,
    ConnectionSnapshot,
    Precedence,
    Status,
    StatusUpdate,
    merge,
    placeholder,
    stamp_of_answer,
    with_abandoned_link,
    with_initial_read,
    with_issued_link,
)
from shared.domain.customers import Customer
from shared.domain.errors import CodatNotFound, StoreUnavailable
from shared.domain.events import InitialReadEvent
from shared.domain.leases import CreationLease
from shared.domain.timeline import TimelineEntry, timeline_entry
from shared.domain.timestamps import Timestamp
from shared.services.context import CodatContext, Context

MAX_CONFLICTS = 25
"""Each lost round is another writer's success, so this many in one call means that something is wrong."""

_Change = Callable[[Connection, Timestamp], Connection]
_Entry = Callable[[Connection | None, Connection], TimelineEntry | None]


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
    """Store the connection after `update` together with its timeline entry, both or neither.

    `stored` is what was read last; `event_type` names the entry (an event's type, or what we did); `ended` is the
    lease that this update fulfils; `link_issued` says that the caller receives a fresh link. An update that changes
    nothing still gets a timeline entry, unless it is a read: those are too frequent. Raises CompanyGone if no customer
    owns the company (any more).
    """

    def change(connection: Connection, now: Timestamp) -> Connection:
        merged = merge(connection, update, now)
        return with_issued_link(merged, now) if link_issued else merged

    def entry(before: Connection | None, after: Connection) -> TimelineEntry | None:
        is_read = update.precedence is Precedence.READ
        if after.is_tombstone or (is_read and before is not None and after.status is before.status):
            return None
        return timeline_entry(update, event_type, context.actor, before, after)

    identity = update.company_id, update.connection_id, customer_id
    return _save(identity, change, entry, context, stored=stored, ended=ended)


def record_snapshot(
    snapshot: ConnectionSnapshot,
    context: Context,
    *,
    company_id: str,
    customer_id: str,
    stored: Connection | None,
    event_type: str = "read",
    link_issued: bool = False,
) -> Connection:
    """Store the connection after a read of it; `event_type` names the timeline entry if the status changed."""
    stamped = stamp_of_answer(snapshot.at, Precedence.READ, stored, context.new_id())
    return record_update(
        snapshot.update(company_id, stamped),
        context,
        customer_id=customer_id,
        event_type=event_type,
        stored=stored,
        link_issued=link_issued,
    )


def sync_connection(
    connection_id: str,
    customer: Customer,
    context: CodatContext,
    *,
    listed: ConnectionSnapshot | None,
    stored: Connection | None,
    event_type: str = "read",
) -> Connection | None:
    """Store what Codat has of a connection, given Codat's list and the table; None if neither has it (any more).

    Codat's lists lag behind. So what a list shows differently, or not at all, is read by its id before it is stored.
    Only a newer sync is taken from the list. `event_type` names the timeline entry of a connection that is new here.
    """
    is_ours = stored is not None and stored.customer_id == customer.customer_id
    if stored is not None and stored.is_deleted:
        return stored
    if stored is not None and listed is not None and is_ours and not listed.differs_from(stored):
        return _record_sync(listed, stored, context) if listed.has_newer_sync(stored) else stored
    try:
        snapshot = context.codat.connection(customer.company_id, connection_id)
    except CodatNotFound:
        return None if stored is None else record_missing(stored, context)
    return record_snapshot(
        snapshot,
        context,
        company_id=customer.company_id,
        customer_id=customer.customer_id,
        stored=stored,
        event_type=event_type if stored is None else "read",
    )


def _record_sync(listed: ConnectionSnapshot, stored: Connection, context: Context) -> Connection:
    """Store a newer sync alone: the list's status may be older than an event that is still on its way."""
    stamped = stamp_of_answer(listed.at, Precedence.READ, stored, context.new_id())
    update = replace(listed.update(stored.company_id, stamped), status=None, error=None)
    return record_update(update, context, customer_id=stored.customer_id, event_type="read", stored=stored)


def record_deletion(
    stored: Connection, at: Timestamp, precedence: Precedence, context: Context, *, event_type: str
) -> Connection:
    update = StatusUpdate(
        stamp=stamp_of_answer(at, precedence, stored, context.new_id()),
        company_id=stored.company_id,
        connection_id=stored.connection_id,
        source=stored.source,
        created_at=stored.created_at,
        status=Status.DELETED,
    )
    return record_update(update, context, customer_id=stored.customer_id, event_type=event_type, stored=stored)


def record_missing(stored: Connection, context: Context, *, event_type: str = "read") -> Connection:
    """Store the connection as deleted, after Codat has answered 404 for it. Codat doesn't say when, so it is now."""
    return record_deletion(stored, context.timestamp(), Precedence.READ, context, event_type=event_type)


def record_initial_read(
    event: InitialReadEvent, connection_id: str, context: Context, *, customer_id: str, stored: Connection | None
) -> Connection:
    """Store the connection after an initial read was reported; as a placeholder if that is its first event."""
    read = event.reads[connection_id]

    def entry(before: Connection | None, after: Connection) -> TimelineEntry | None:
        if after.is_tombstone:
            return None
        return timeline_entry(read, event.event_type, context.actor, before, after)

    identity = event.company_id, connection_id, customer_id
    return _save(identity, lambda before, now: with_initial_read(before, read, now), entry, context, stored=stored)


def record_abandoned(stored: Connection, before: Timestamp, context: Context) -> Connection:
    """Mark the connection's link as abandoned, so that it is published once, if it was issued `before`."""
    identity = stored.company_id, stored.connection_id, stored.customer_id

    def change(connection: Connection, now: Timestamp) -> Connection:
        return with_abandoned_link(connection, now, before=before)

    return _save(identity, change, lambda _before, _after: None, context, stored=stored)


def _save(
    identity: tuple[str, str, str],
    change: _Change,
    entry: _Entry,
    context: Context,
    *,
    stored: Connection | None,
    ended: CreationLease | None = None,
) -> Connection:
    """Read, change and write until no other process has written in between."""
    company_id, connection_id, customer_id = identity
    for _ in range(MAX_CONFLICTS):
        now = context.timestamp()
        before = stored or placeholder(company_id, connection_id, customer_id, now)
        if not before.is_tombstone:
            # A company can change hands: its connections belong to its present owner.
            before = replace(before, customer_id=customer_id)
        after = change(before, now)
        new_entry = entry(stored if stored is not None and not stored.is_placeholder else None, after)
        if after is before:
            if new_entry is not None:
                context.connections.add_entry(new_entry, customer_id)
            if ended is None:
                return after
        saved = context.connections.save(after, None if after is before else new_entry, ended)
        if saved is not None:
            return saved
        stored = context.connections.find(company_id, connection_id)
    raise StoreUnavailable("Too many writers at one connection.")
