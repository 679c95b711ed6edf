"""Recording changes of connections, on a store that counts writes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, strategies as st

from shared.domain.connections import Connection, StatusUpdate, with_abandoned_link, with_connector
from shared.domain.errors import CompanyGone, StoreUnavailable
from shared.domain.events import InitialReadEvent
from shared.domain.initial_reads import InitialRead
from shared.domain.timeline import WEBHOOK, Actor
from shared.domain.timestamps import datetime_of
from shared.services.connection_state import MAX_CONFLICTS, record_change, record_initial_read, record_update
from shared.services.context import Context
from tests.unit.domain.test_connections import LATER, merged, updates

INITIAL_READ = InitialReadEvent(
    "event", "read.completed.initial", LATER, "company", {"connection": InitialRead(LATER, "event", ("invoices",))}
)
Record = Callable[[Connection | None, Context], Connection]


class Store:
    """A store in which another process has written `stored` since the caller read the connection."""

    def __init__(self, stored: Connection) -> None:
        self.stored = stored
        self.written: list[Connection] = []

    def find(self, *_: Any) -> Connection:
        return self.stored

    def save(self, connection: Connection, *_: Any) -> Connection | None:
        """Store the connection, unless it is based on another version."""
        if connection.version != self.stored.version:
            return None
        self.written.append(connection)
        return connection

    def add_entry(self, *_: Any) -> None:
        """An entry alone changes no connection."""


def context(store: Store) -> Context:
    nothing: Any = None
    stored: Any = store
    return Context(
        actor=Actor(WEBHOOK, "webhook"),
        telemetry=nothing,
        now=lambda: datetime_of(LATER),
        new_id=lambda: "id",
        customers=nothing,
        connections=stored,
        invitations=nothing,
        platforms=nothing,
    )


def every_record(late: StatusUpdate) -> list[Record]:
    def link_issued(stored: Connection | None, context: Context) -> Connection:
        return record_update(late, context, customer_id="c-1", event_type="read", stored=stored, link_issued=True)

    def initial_read(stored: Connection | None, context: Context) -> Connection:
        return record_initial_read(INITIAL_READ, "connection", context, customer_id="c-1", stored=stored)

    def changed(change: Any, stored: Connection | None, context: Context) -> Connection:
        assert stored is not None
        return record_change(stored, change, context)

    return [
        link_issued,
        initial_read,
        partial(changed, with_connector),
        partial(changed, partial(with_abandoned_link, before=LATER)),
    ]


@given(st.lists(updates, min_size=1, max_size=6), updates)
def test_a_tombstone_stays_as_it_is(reported: list[StatusUpdate], late: StatusUpdate) -> None:
    """Its company was deleted: a late update must not bring personal data back, or remove the tombstone's TTL."""
    before = replace(merged(reported), version=1)
    tombstone = replace(before, is_tombstone=True, version=2)
    for record in every_record(late):
        for read_before in (tombstone, before):
            store = Store(tombstone)
            record(read_before, context(store))
            assert store.written == []
    for stored in (tombstone, before):
        store = Store(tombstone)
        lease: Any = object()
        with pytest.raises(CompanyGone):
            record_update(late, context(store), customer_id="c-1", event_type="created", stored=stored, ended=lease)
        assert store.written == []


def test_endless_conflicts_end_in_an_error() -> None:
    """GIVEN a store that always has another version THEN the call fails after a number of conflicts."""
    store = Store(replace(merged([]), version=1))
    reads = 0

    def changed_again(*_: Any) -> Connection:
        nonlocal reads
        reads += 1
        store.stored = replace(store.stored, version=store.stored.version + 1)
        return replace(store.stored, version=0)

    store.find = changed_again  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        record_change(replace(store.stored, version=0), with_connector, context(store))
    assert (reads, store.written) == (MAX_CONFLICTS, [])
