"""Connections: optimistic locking on the version, together with the timeline and the end of a lease."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.domain.connections import NO_STAMP, Connection, Source, Stamp, Status, placeholder
from shared.domain.customers import Ownership
from shared.domain.errors import CompanyGone, CreationInProgress, InvalidQuery
from shared.domain.initial_reads import InitialRead, ReadEvidence
from shared.domain.timeline import Actor, TimelineEntry
from shared.domain.timestamps import Timestamp, timestamp_of
from shared.store import keys
from shared.store.connections import Connections
from shared.store.customers import Customers
from shared.store.table import Table, delete
from tests.integration.faults.proxy import Proxy, lost
from tests.integration.store.conftest import NOW, lease_request
from tests.integration.store.test_customers import acquire as acquire_customer

AT = timestamp_of(NOW)
FIRST_VERSION = round(NOW.timestamp() * 1000)
TIMELINE_LIFETIME = timedelta(days=400)


@pytest.fixture
def connections(table: Table) -> Connections:
    return Connections(table, timeline_lifetime=TIMELINE_LIFETIME)


@pytest.fixture
def customers(table: Table) -> Customers:
    return Customers(table)


@pytest.fixture
def company(customers: Customers) -> str:
    """The id of a company that belongs to customer `c-…`."""
    return owned_company(customers)


def owned_company(customers: Customers) -> str:
    customer_id, company_id = f"c-{uuid4()}", str(uuid4())
    customers.activate(acquire_customer(customers, customer_id), company_id, NOW, {})
    return company_id


def owner(customers: Customers, company_id: str) -> str:
    customer_id = customers.ownership(company_id).owner
    assert customer_id is not None
    return customer_id


def new(customers: Customers, company_id: str, created_at: Timestamp = AT) -> Connection:
    """Return a connection of the company, not stored yet."""
    return Connection(
        company_id=company_id,
        connection_id=str(uuid4()),
        customer_id=owner(customers, company_id),
        source=Source("qhyg", "QuickBooks Online", "Accounting"),
        created_at=created_at,
        updated_at=AT,
        status=Status.PENDING_AUTH,
        status_stamp=Stamp(f"{AT}#2#e-1"),
        reported_error="User cancelled",
        error_stamp=NO_STAMP,
        last_update_stamp=Stamp(f"{AT}#2#e-1"),
        last_sync=None,
    )


def entry_of(connection: Connection, event_id: str = "e-1") -> TimelineEntry:
    return TimelineEntry(
        company_id=connection.company_id,
        connection_id=connection.connection_id,
        at=AT,
        event_id=event_id,
        event_type="connection.created",
        actor=Actor("webhook", "msg_1"),
        previous_status=None,
        status=connection.status,
        error=None,
        applied=True,
    )


def timeline(table: Table, connection: Connection) -> list[str]:
    return [item["eventId"] for item in table.query(keys.company(connection.company_id)[0], "EVENT#")]


def saved(connections: Connections, connection: Connection) -> Connection:
    stored = connections.save(connection, entry_of(connection))
    assert stored is not None
    return stored


def test_what_is_saved_is_found(connections: Connections, customers: Customers, table: Table, company: str) -> None:
    """As the first version, with its timeline entry, which DynamoDB removes in time."""
    connection = new(customers, company)
    stored = saved(connections, connection)
    assert stored == replace(connection, version=FIRST_VERSION)
    assert connections.find(connection.company_id, connection.connection_id) == stored
    [entry] = table.query(keys.company(connection.company_id)[0], "EVENT#")
    assert entry["expiresAt"] == int((NOW + TIMELINE_LIFETIME).timestamp())
    assert connections.find(connection.company_id, "other") is None


def test_every_field_is_stored(connections: Connections, customers: Customers, company: str) -> None:
    """GIVEN a connection with a value in each field THEN it is read as it was saved."""
    read = InitialRead(AT, "e-1", ("bills", "suppliers"), (("invoices", "FetchError"), ("taxRates", "FetchError")))
    full = replace(
        new(customers, company),
        error_stamp=Stamp(f"{AT}#2#e-2"),
        last_sync=AT,
        linked_event_at=AT,
        linked_read_at=AT,
        severances=(Timestamp("2026-11-21T12:00:00.0000000Z"),),
        evidence=ReadEvidence((read, replace(read, event_id="e-2", failed=())), (AT,)),
        link_issued_at=AT,
        abandoned_at=AT,
    )
    stored = saved(connections, full)
    assert connections.find(company, full.connection_id) == stored == replace(full, version=FIRST_VERSION)


def test_a_version_starts_at_the_millisecond_of_the_first_write_and_grows_by_one(
    connections: Connections, customers: Customers, company: str
) -> None:
    """So a consumer of the events can order them, whatever was stored under the same ids before."""
    updated_at = timestamp_of(NOW + timedelta(microseconds=5_700))
    first = saved(connections, replace(new(customers, company), updated_at=updated_at))
    assert first.version == FIRST_VERSION + 5
    # The clock has no part in it from then on.
    second = connections.save(replace(first, updated_at=timestamp_of(NOW + timedelta(days=1))), None)
    assert second is not None
    assert second.version == first.version + 1
    third = connections.save(replace(second, updated_at=timestamp_of(NOW - timedelta(days=1))), None)
    assert third is not None
    assert third.version == first.version + 2


def test_a_successor_needs_the_version_it_was_made_from(
    connections: Connections, customers: Customers, table: Table, company: str
) -> None:
    """None, with nothing written, if another process has written since the read."""
    first = saved(connections, new(customers, company))
    second = connections.save(replace(first, status=Status.LINKED), entry_of(first, "e-2"))
    assert second is not None
    assert second.version == first.version + 1
    assert connections.save(replace(first, status=Status.DELETED), entry_of(first, "e-3")) is None
    assert connections.save(replace(first, version=0), entry_of(first, "e-4")) is None
    assert connections.save(replace(first, status=Status.DELETED), None) is None
    assert connections.find(first.company_id, first.connection_id) == second
    assert timeline(table, first) == ["e-1", "e-2"]


def test_saving_ends_the_lease(connections: Connections, customers: Customers, table: Table, company: str) -> None:
    """In the same transaction."""
    connection = new(customers, company)
    lease = connections.acquire(company, "qhyg", lease_request())
    assert connections.save(connection, entry_of(connection), lease) is not None
    assert table.get(lease.key) is None


def test_a_lost_lease_saves_nothing(connections: Connections, customers: Customers, company: str) -> None:
    """GIVEN a successor THEN the error says how long its lease lasts."""
    connection = new(customers, company)
    slow = connections.acquire(company, "qhyg", lease_request(lease=5))
    connections.acquire(company, "qhyg", lease_request(after=6, lease=20))
    with pytest.raises(CreationInProgress) as refused:
        connections.save(connection, entry_of(connection), slow)
    assert refused.value.retry_after == 26
    assert connections.find(connection.company_id, connection.connection_id) is None


def test_a_lease_that_has_ended_does_not_stop_saving(
    connections: Connections, customers: Customers, table: Table, company: str
) -> None:
    """It was ended by a write of ours whose answer was lost, or by a process that took it over."""
    connection = new(customers, company)
    lease = connections.acquire(company, "qhyg", lease_request())
    table.write(delete(lease.key))
    stored = connections.save(connection, entry_of(connection), lease)
    assert stored == replace(connection, version=FIRST_VERSION)
    assert connections.find(company, connection.connection_id) == stored


def test_a_changed_version_counts_before_a_lost_lease(
    connections: Connections, customers: Customers, company: str
) -> None:
    """GIVEN a webhook that stored the connection first WHEN it is read again THEN the lease is still held."""
    connection = new(customers, company)
    lease = connections.acquire(company, "qhyg", lease_request())
    stored = saved(connections, connection)
    assert connections.save(connection, entry_of(connection), lease) is None
    assert connections.save(stored, None, lease) is not None


def test_the_owner_and_the_connection_in_one_read(connections: Connections, customers: Customers) -> None:
    """Each is None if it is unknown."""
    assert connections.find_with_owner(str(uuid4()), "x") == (Ownership(None), None)
    company_id = owned_company(customers)
    ownership = Ownership(owner(customers, company_id))
    assert connections.find_with_owner(company_id, "x") == (ownership, None)
    stored = saved(connections, new(customers, company_id))
    assert connections.find_with_owner(company_id, stored.connection_id) == (ownership, stored)


def test_those_of_a_company_oldest_first(connections: Connections, customers: Customers, company: str) -> None:
    """Deleted ones too; no placeholder, and nothing else that is stored under the company."""
    connections.acquire(company, "qhyg", lease_request())
    younger = saved(connections, new(customers, company, Timestamp("2026-11-22T12:00:00.0000001Z")))
    older = saved(connections, replace(new(customers, company), status=Status.DELETED))
    connections.save(placeholder(company, str(uuid4()), owner(customers, company), AT), None)
    saved(connections, new(customers, owned_company(customers)))
    assert connections.of_company(company) == [older, younger]


def test_only_what_is_not_deleted_is_in_the_index(
    connections: Connections, customers: Customers, table: Table, company: str
) -> None:
    """A deleted connection is left out of lists."""
    stored = saved(connections, new(customers, company))
    place = keys.connection(stored.company_id, stored.connection_id)
    item = table.get(place)
    assert item is not None
    assert item["statusShard"] == keys.shard(keys.with_status("PendingAuth"), stored.company_id)
    connections.save(replace(stored, status=Status.DELETED), entry_of(stored))
    item = table.get(place)
    assert item is not None
    assert "statusShard" not in item


def test_an_entry_that_is_added_again_stays_as_it_was(
    connections: Connections, customers: Customers, table: Table, company: str
) -> None:
    """A duplicate changes nothing."""
    connection = new(customers, company)
    connections.add_entry(entry_of(connection), connection.customer_id)
    connections.add_entry(replace(entry_of(connection), actor=Actor("webhook", "msg_2")), connection.customer_id)
    [entry] = table.query(keys.company(connection.company_id)[0], "EVENT#")
    assert entry["actorId"] == "msg_1"


@pytest.mark.parametrize("with_entry", [True, False])
def test_saving_survives_a_lost_answer(
    shaky: Table, customers: Customers, table: Table, wire: Proxy, company: str, *, with_entry: bool
) -> None:
    """It returns the connection, or None: then what was written is read, and merging it again changes nothing."""
    connections, connection = Connections(shaky, timeline_lifetime=TIMELINE_LIFETIME), new(customers, company)
    expected = replace(connection, version=FIRST_VERSION)
    wire.next(lost)
    stored = connections.save(connection, entry_of(connection) if with_entry else None)
    assert stored in {expected, None}
    assert connections.find(connection.company_id, connection.connection_id) == expected
    assert timeline(table, connection) == (["e-1"] if with_entry else [])


def test_adding_an_entry_survives_a_lost_answer(
    shaky: Table, customers: Customers, table: Table, wire: Proxy, company: str
) -> None:
    """It is there once."""
    connections, connection = Connections(shaky, timeline_lifetime=TIMELINE_LIFETIME), new(customers, company)
    wire.next(lost)
    connections.add_entry(entry_of(connection), connection.customer_id)
    assert timeline(table, connection) == ["e-1"]


def test_nothing_new_under_a_company_that_has_ended(
    connections: Connections, customers: Customers, company: str
) -> None:
    """A late event brings nothing back; what was there may still be written."""
    stored, late, customer_id = (
        saved(connections, new(customers, company)),
        new(customers, company),
        owner(customers, company),
    )
    customers.close_company(company, customer_id)
    with pytest.raises(CompanyGone):
        connections.save(late, None)
    assert connections.find_with_owner(company, "x") == (Ownership(customer_id, has_ended=True), None)
    assert connections.save(replace(stored, status=Status.DELETED), None) is not None


def test_a_new_connection_needs_a_company_of_its_customer(
    connections: Connections, customers: Customers, company: str
) -> None:
    """GIVEN a company without a customer, or with another one, THEN nothing is written."""
    connection = new(customers, company)
    for foreign in (replace(connection, company_id=str(uuid4())), replace(connection, customer_id="c-other")):
        with pytest.raises(CompanyGone):
            connections.save(foreign, entry_of(foreign))
        assert connections.find(foreign.company_id, foreign.connection_id) is None


def test_a_tombstone_contains_no_personal_data(
    connections: Connections, customers: Customers, table: Table, company: str
) -> None:
    """It expires, has no timeline, and stays the same if it is made again; leases on the company's connections end."""
    stored = [saved(connections, new(customers, company)) for _ in range(3)]
    connections.acquire(company, "qhyg", lease_request())
    kinds = ("CONNECTION#", "CREATING#", "EVENT#", "INVITATION", "UNREADABLE")
    for _ in range(2):
        connections.tombstone(company, NOW)
        items = [item for kind in kinds for item in table.query(f"COMPANY#{company}", kind)]
        assert {item["sk"] for item in items} == {
            keys.connection(company, connection.connection_id)[1] for connection in stored
        }
        for item in items:
            assert item["status"] == "Deleted"
            assert not item.get("customerId")
            assert not item.get("reportedError")
            assert item["version"] == FIRST_VERSION + 1
            assert item["expiresAt"] > NOW.timestamp()
            assert "statusShard" not in item
    assert connections.save(stored[0], entry_of(stored[0])) is None


def test_connections_by_status_page_by_page(connections: Connections, customers: Customers) -> None:
    """Each connection once, of all companies. A connection whose status has changed is left out."""

    def deauthorized() -> Connection:
        return saved(connections, replace(new(customers, owned_company(customers)), status=Status.DEAUTHORIZED))

    expected = {deauthorized().connection_id for _ in range(7)}
    connections.save(replace(deauthorized(), status=Status.LINKED), None)
    listed: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = connections.page(Status.DEAUTHORIZED, 3, cursor)
        assert len(page) <= 3
        listed += [connection.connection_id for connection in page]
        if cursor is None:
            break
    assert sorted(listed) == sorted(expected)
    with pytest.raises(InvalidQuery):
        connections.page(Status.DEAUTHORIZED, 3, "nonsense")


def test_the_timeline_newest_first(connections: Connections, customers: Customers, company: str) -> None:
    """Page by page, without other connections."""
    connection = saved(connections, new(customers, company))
    for number in range(4):
        connections.add_entry(
            replace(entry_of(connection, f"n-{number}"), at=Timestamp(f"2026-11-22T12:00:0{number + 1}.0000000Z")),
            connection.customer_id,
        )
    saved(connections, new(customers, company))
    first, cursor = connections.timeline(connection, 3, None)
    assert cursor is not None
    rest, end = connections.timeline(connection, 3, cursor)
    assert [entry.event_id for entry in [*first, *rest]] == ["n-3", "n-2", "n-1", "n-0", "e-1"]
    assert end is None
    with pytest.raises(InvalidQuery):
        connections.timeline(new(customers, company), 3, cursor)
