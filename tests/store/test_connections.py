"""Connections: compare-and-set on the version, together with the timeline and the end of a claim."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.domain.claims import Claim
from shared.domain.connections import NEVER, Connection, Source, Stamp, Status
from shared.domain.customers import Ownership
from shared.domain.errors import CompanyGone, CreationInProgress, InvalidQuery
from shared.domain.instants import Instant, instant_of
from shared.domain.timeline import Actor, TimelineEntry
from shared.store import keys
from shared.store.connections import Connections
from shared.store.customers import Customers
from shared.store.table import Table
from tests.faults.proxy import Proxy, lost
from tests.store.conftest import NOW, terms
from tests.store.test_customers import claim as customer_claim

AT = instant_of(NOW)
KEPT_FOR = timedelta(days=400)


@pytest.fixture
def connections(table: Table) -> Connections:
    return Connections(table, timeline_kept_for=KEPT_FOR)


def new(company_id: str | None = None, created_at: Instant = AT) -> Connection:
    return Connection(
        company_id=company_id or str(uuid4()),
        connection_id=str(uuid4()),
        customer_id="c-1",
        source=Source("qhyg", "QuickBooks Online", "Accounting"),
        created_at=created_at,
        updated_at=AT,
        status=Status.PENDING_AUTH,
        status_stamp=Stamp(f"{AT}#2#e-1"),
        reason="User cancelled",
        reason_stamp=NEVER,
        heard_stamp=Stamp(f"{AT}#2#e-1"),
        last_sync=None,
    )


def told(connection: Connection, event_id: str = "e-1") -> TimelineEntry:
    return TimelineEntry(
        company_id=connection.company_id,
        connection_id=connection.connection_id,
        at=AT,
        event_id=event_id,
        event_type="connection.created",
        actor=Actor("webhook", "msg_1"),
        previous_status=None,
        status=connection.status,
        reason=None,
        applied=True,
    )


def timeline(table: Table, of: Connection) -> list[str]:
    return [item["eventId"] for item in table.query(keys.company(of.company_id)[0], "EVENT#")]


def saved(connections: Connections, connection: Connection) -> Connection:
    stored = connections.save(connection, told(connection))
    assert stored is not None
    return stored


def test_what_is_saved_is_found(connections: Connections, table: Table) -> None:
    """As the next version, with its timeline entry, which DynamoDB will forget in time."""
    connection = new()
    stored = saved(connections, connection)
    assert stored == replace(connection, version=1)
    assert connections.find(connection.company_id, connection.connection_id) == stored
    [entry] = table.query(keys.company(connection.company_id)[0], "EVENT#")
    assert entry["expiresAt"] == int((NOW + KEPT_FOR).timestamp())
    assert connections.find(connection.company_id, "other") is None


def test_a_successor_needs_the_version_it_was_made_from(connections: Connections, table: Table) -> None:
    """None, with nothing written, for whoever read before somebody else wrote."""
    first = saved(connections, new())
    second = connections.save(replace(first, status=Status.LINKED), told(first, "e-2"))
    assert second is not None
    assert connections.save(replace(first, status=Status.DELETED), told(first, "e-3")) is None
    assert connections.save(replace(first, version=0), told(first, "e-4")) is None
    assert connections.save(replace(first, status=Status.DELETED), None) is None
    assert connections.find(first.company_id, first.connection_id) == second
    assert timeline(table, first) == ["e-1", "e-2"]


def test_saving_ends_the_claim(connections: Connections, table: Table) -> None:
    """In the same transaction."""
    connection = new()
    claim = connections.claim(connection.company_id, "qhyg", terms())
    assert connections.save(connection, told(connection), claim) is not None
    assert table.get(claim.place) is None


def test_a_lost_claim_saves_nothing(connections: Connections) -> None:
    """Somebody else is at it, and the refusal says for how long."""
    connection = new()
    slow = connections.claim(connection.company_id, "qhyg", terms(lease=5))
    connections.claim(connection.company_id, "qhyg", terms(after=6, lease=20))
    with pytest.raises(CreationInProgress) as refused:
        connections.save(connection, told(connection), slow)
    assert refused.value.retry_after == 26
    assert connections.find(connection.company_id, connection.connection_id) is None


def test_a_version_that_moved_is_told_before_a_lost_claim(connections: Connections) -> None:
    """A webhook was quicker to store the connection: read again, the claim is still held."""
    connection = new()
    claim = connections.claim(connection.company_id, "qhyg", terms())
    heard = saved(connections, connection)
    assert connections.save(connection, told(connection), claim) is None
    assert connections.save(heard, None, claim) is not None


def test_a_claim_is_abandoned_once_its_lease_is_over(connections: Connections) -> None:
    """A holder that may be alive is left alone."""
    company_id = str(uuid4())
    assert connections.abandoned_claim(company_id, "qhyg", NOW) is None
    claim = connections.claim(company_id, "qhyg", terms(lease=10))
    assert connections.abandoned_claim(company_id, "qhyg", NOW + timedelta(seconds=9)) is None
    found = connections.abandoned_claim(company_id, "qhyg", NOW + timedelta(seconds=10))
    assert isinstance(found, Claim)
    assert found.owner == claim.owner
    assert connections.abandoned_claim(company_id, "gbol", NOW + timedelta(seconds=10)) is None


def test_the_owner_and_the_connection_in_one_read(connections: Connections, table: Table) -> None:
    """Each None where unknown."""
    customers, company_id, customer_id = Customers(table), str(uuid4()), f"c-{uuid4()}"
    assert connections.find_with_owner(company_id, "x") == (Ownership(None), None)
    customers.activate(customer_claim(customers, customer_id), company_id, NOW)
    assert connections.find_with_owner(company_id, "x") == (Ownership(customer_id), None)
    stored = saved(connections, new(company_id))
    assert connections.find_with_owner(company_id, stored.connection_id) == (Ownership(customer_id), stored)


def test_those_of_a_company_oldest_first(connections: Connections) -> None:
    """The deleted too, and nothing else that lives under the company."""
    company_id = str(uuid4())
    connections.claim(company_id, "qhyg", terms())
    younger = saved(connections, new(company_id, Instant("2026-11-22T12:00:00.0000001Z")))
    older = saved(connections, replace(new(company_id), status=Status.DELETED))
    saved(connections, new())
    assert connections.of_company(company_id) == [older, younger]


def test_only_what_is_not_deleted_is_in_the_index(connections: Connections, table: Table) -> None:
    """A deleted connection is left out of lists."""
    stored = saved(connections, new())
    place = keys.connection(stored.company_id, stored.connection_id)
    item = table.get(place)
    assert item is not None
    assert item["statusShard"] == keys.status_shard("PendingAuth", stored.company_id)
    connections.save(replace(stored, status=Status.DELETED), told(stored))
    item = table.get(place)
    assert item is not None
    assert "statusShard" not in item


def test_a_noted_event_stays_as_it_was_first_told(connections: Connections, table: Table) -> None:
    """A duplicate changes nothing."""
    connection = new()
    connections.note(told(connection))
    connections.note(replace(told(connection), actor=Actor("webhook", "msg_2")))
    [entry] = table.query(keys.company(connection.company_id)[0], "EVENT#")
    assert entry["actorId"] == "msg_1"


@pytest.mark.parametrize("with_entry", [True, False])
def test_saving_outlives_a_lost_answer(shaky: Table, table: Table, wire: Proxy, *, with_entry: bool) -> None:
    """It has worked, or is said not to: then what was written is read, and merging it again changes nothing."""
    connections, connection = Connections(shaky, timeline_kept_for=KEPT_FOR), new()
    wire.next(lost)
    stored = connections.save(connection, told(connection) if with_entry else None)
    assert stored in {replace(connection, version=1), None}
    assert connections.find(connection.company_id, connection.connection_id) == replace(connection, version=1)
    assert timeline(table, connection) == (["e-1"] if with_entry else [])


def test_noting_outlives_a_lost_answer(shaky: Table, table: Table, wire: Proxy) -> None:
    """Once."""
    connections, connection = Connections(shaky, timeline_kept_for=KEPT_FOR), new()
    wire.next(lost)
    connections.note(told(connection))
    assert timeline(table, connection) == ["e-1"]


def test_nothing_new_under_a_company_that_has_ended(connections: Connections, table: Table) -> None:
    """What comes late brings nothing back; what was there may still be written."""
    known = saved(connections, new())
    Customers(table).end_company(known.company_id, "c-1")
    with pytest.raises(CompanyGone):
        connections.save(new(known.company_id), None)
    assert connections.find_with_owner(known.company_id, "x") == (Ownership("c-1", ended=True), None)
    assert connections.save(replace(known, status=Status.DELETED), None) is not None


def test_what_is_buried_says_nothing_of_anybody(connections: Connections, table: Table) -> None:
    """A tombstone that ends by itself, no timeline, and the same again."""
    company_id = str(uuid4())
    stored = [saved(connections, new(company_id)) for _ in range(3)]
    for _ in range(2):
        connections.bury(company_id, NOW)
        items = table.query(keys.company(company_id)[0], "")
        assert {item["sk"] for item in items} == {keys.connection(company_id, one.connection_id)[1] for one in stored}
        for item in items:
            assert item["status"] == "Deleted"
            assert not item.get("customerId")
            assert not item.get("reason")
            assert item["expiresAt"] > NOW.timestamp()
            assert "statusShard" not in item
    assert connections.save(stored[0], told(stored[0])) is None


def test_connections_by_status_page_by_page(connections: Connections) -> None:
    """Each once, over companies, whatever the limit; one that left the status is left out."""
    there = {saved(connections, replace(new(), status=Status.DEAUTHORIZED)).connection_id for _ in range(7)}
    gone = saved(connections, replace(new(), status=Status.DEAUTHORIZED))
    connections.save(replace(gone, status=Status.LINKED), None)
    found: list[str] = []
    cursor = None
    while True:
        page = connections.page(Status.DEAUTHORIZED, 3, cursor)
        assert len(page.items) <= 3
        found += [one.connection_id for one in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(found) == sorted(there)
    with pytest.raises(InvalidQuery):
        connections.page(Status.DEAUTHORIZED, 3, "nonsense")


def test_the_timeline_newest_first(connections: Connections) -> None:
    """Page by page, of one connection alone."""
    connection = saved(connections, new())
    for number in range(4):
        connections.note(
            replace(told(connection, f"n-{number}"), at=Instant(f"2026-11-22T12:00:0{number + 1}.0000000Z"))
        )
    saved(connections, new(connection.company_id))
    first = connections.timeline(connection, 3, None)
    assert first.cursor is not None
    rest = connections.timeline(connection, 3, first.cursor)
    assert [one.event_id for one in [*first.items, *rest.items]] == ["n-3", "n-2", "n-1", "n-0", "e-1"]
    assert rest.cursor is None
    with pytest.raises(InvalidQuery):
        connections.timeline(new(), 3, first.cursor)
