"""Creation leases on DynamoDB: at most one owner, and a successor continues the work of a crashed owner."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.customers import Profile
from shared.domain.errors import CreationInProgress
from shared.domain.leases import CreationLease
from shared.store.connections import LEASE_LIFETIME, Connections
from shared.store.customers import Customers
from shared.store.leases import CREATING, RELEASED, Leases, lease_item, lease_of
from shared.store.table import Key, Table, put
from tests.integration.faults.proxy import Proxy, lost, passed_on
from tests.integration.store.conftest import NOW, lease_request

SUBJECT = "Customer c-1"
PAYLOAD = {"customerId": "c-1", "name": "Bank of Dave", "tags": {"region": "us"}}
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def leases(table: Table) -> Leases:
    return Leases(table)


@pytest.fixture
def key() -> Key:
    return f"CUSTOMER#{uuid4()}", "CUSTOMER"


def acquire(leases: Leases, key: Key, *, after: float = 0.0, lease: float = 30.0) -> CreationLease:
    acquired = leases.acquire(key, PAYLOAD, SUBJECT, lease_request(after=after, lease=lease))
    assert isinstance(acquired, CreationLease)
    return acquired


def stored(table: Table, key: Key) -> CreationLease | None:
    """Return the lease as another process reads it."""
    item = table.get(key)
    return lease_of(item, SUBJECT) if item is not None and item["state"] == CREATING else None


def as_crashed(lease: CreationLease) -> CreationLease:
    """Return a lease as another process has to read it while it is held: its owner may send until it ends."""
    return replace(as_released(lease), is_settled=False, last_sent_at=lease.lease_until, lease_until=lease.lease_until)


def as_released(lease: CreationLease) -> CreationLease:
    """Return a lease as another process reads it after its release. The store leaves out empty attributes."""
    payload = {name: value for name, value in lease.payload.items() if value is not None}
    return replace(lease, payload=payload, lease_until=RELEASED)


def test_a_lease_is_stored_whole(leases: Leases, table: Table, key: Key) -> None:
    """WHEN a lease is acquired THEN its key is stored before anything is sent under it."""
    request = lease_request()
    lease = leases.acquire(key, PAYLOAD, SUBJECT, request)
    assert isinstance(lease, CreationLease)
    assert (lease.idempotency_key, lease.owner) == (request.idempotency_key, request.owner)
    assert lease.creation_id == request.creation_id
    assert (lease.key_issued_at, lease.lease_until) == (NOW, NOW + timedelta(seconds=30))
    assert (lease.is_settled, lease.last_sent_at) == (True, None)
    assert stored(table, key) == as_crashed(lease)


def test_a_held_lease_is_refused_until_it_ends(leases: Leases, table: Table, key: Key) -> None:
    """The error contains the remaining whole seconds."""
    held = acquire(leases, key, lease=29.2)
    for after, left in [(0.0, 30), (10.0, 20), (28.3, 1), (29.1, 1)]:
        with pytest.raises(CreationInProgress) as refused:
            acquire(leases, key, after=after)
        assert refused.value.retry_after == left
    assert stored(table, key) == as_crashed(held)


def test_an_expired_lease_is_taken_over_with_its_key(leases: Leases, key: Key) -> None:
    """GIVEN an owner that crashed THEN its request can be repeated: the successor gets its key, id and payload."""
    crashed = acquire(leases, key, lease=10)
    successor = leases.acquire(key, {**PAYLOAD, "name": "Other"}, SUBJECT, lease_request(after=10))
    assert isinstance(successor, CreationLease)
    assert (successor.idempotency_key, successor.key_issued_at) == (crashed.idempotency_key, NOW)
    assert successor.creation_id == crashed.creation_id
    assert successor.payload == PAYLOAD
    assert successor.owner != crashed.owner
    with pytest.raises(CreationInProgress) as refused:
        acquire(leases, key, after=11)
    assert refused.value.retry_after == 29


@pytest.mark.parametrize("is_settled", [True, False])
@pytest.mark.parametrize("last_sent_at", [None, NOW + timedelta(seconds=3)])
def test_a_crashed_owner_may_have_sent_until_its_lease_ended(
    leases: Leases, table: Table, key: Key, last_sent_at: datetime | None, *, is_settled: bool
) -> None:
    """In spite of the stored values: the owner stores the time of its requests only when it releases or rotates."""
    crashed = replace(acquire(leases, key, lease=10), is_settled=is_settled, last_sent_at=last_sent_at)
    table.write(put(lease_item(crashed)))
    successor = acquire(leases, key, after=10)
    assert (successor.is_settled, successor.last_sent_at) == (False, NOW + timedelta(seconds=10))
    # So it stays, if the successor releases without sending anything.
    leases.release(successor)
    third = acquire(leases, key, after=50)
    assert (third.is_settled, third.last_sent_at) == (False, NOW + timedelta(seconds=10))


@pytest.mark.parametrize("is_settled", [True, False])
@pytest.mark.parametrize("last_sent_at", [None, NOW + timedelta(seconds=3)])
def test_a_released_lease_keeps_what_was_sent(
    leases: Leases, table: Table, key: Key, last_sent_at: datetime | None, *, is_settled: bool
) -> None:
    """WHEN a lease is released THEN the next owner gets it at once, with what its owner knew."""
    lease = replace(acquire(leases, key), is_settled=is_settled, last_sent_at=last_sent_at)
    leases.release(lease)
    assert stored(table, key) == as_released(lease)
    successor = acquire(leases, key, after=1)
    assert (successor.is_settled, successor.last_sent_at) == (is_settled, last_sent_at)
    assert (successor.idempotency_key, successor.creation_id) == (lease.idempotency_key, lease.creation_id)


def test_of_two_successors_one_gets_the_lease(leases: Leases, table: Table, key: Key) -> None:
    """Both read the crashed owner's lease; the second gets an error with the time to wait."""
    crashed = acquire(leases, key, lease=10)
    successor = leases.take_over(crashed, lease_request(after=10))
    with pytest.raises(CreationInProgress) as refused:
        leases.take_over(crashed, lease_request(after=11))
    assert refused.value.retry_after == 29
    assert stored(table, key) == as_crashed(successor)


def test_a_lost_lease_can_be_neither_rotated_nor_ended(leases: Leases, table: Table, key: Key) -> None:
    """GIVEN a successor THEN rotating is refused, and releasing and discarding leave the successor's lease alone."""
    slow = acquire(leases, key, lease=10)
    successor = acquire(leases, key, after=12)
    with pytest.raises(CreationInProgress) as refused:
        leases.rotate_key(slow, str(uuid4()), NOW + timedelta(seconds=15))
    assert refused.value.retry_after == 27
    leases.release(slow)
    leases.discard(slow)
    assert stored(table, key) == as_crashed(successor)


def test_a_new_key_is_stored_before_it_is_used(leases: Leases, table: Table, key: Key) -> None:
    """A successor finds the new key and its age; nothing was sent under it. The creation stays the same one."""
    sent = replace(acquire(leases, key), is_settled=False, last_sent_at=NOW)
    new_key = str(uuid4())
    rotated = leases.rotate_key(sent, new_key, LATER)
    assert (rotated.idempotency_key, rotated.key_issued_at) == (new_key, LATER)
    assert (rotated.is_settled, rotated.last_sent_at) == (True, NOW)
    assert (rotated.creation_id, rotated.owner) == (sent.creation_id, sent.owner)
    assert stored(table, key) == as_crashed(rotated)


def test_the_creation_id_survives_everything_but_a_discard(leases: Leases, key: Key) -> None:
    """WHEN the lease is taken over and its key rotated THEN the id that marks the creation at Codat is the same."""
    first = acquire(leases, key, lease=10)
    taken_over = acquire(leases, key, after=10)
    rotated = leases.rotate_key(taken_over, str(uuid4()), LATER)
    leases.release(rotated)
    last = acquire(leases, key, after=61)
    assert {taken_over.creation_id, rotated.creation_id, last.creation_id} == {first.creation_id}
    leases.discard(last)
    assert acquire(leases, key, after=62).creation_id != first.creation_id


def test_a_discarded_lease_leaves_nothing(leases: Leases, table: Table, key: Key) -> None:
    """The next call starts afresh."""
    leases.discard(acquire(leases, key))
    assert stored(table, key) is None
    lease = acquire(leases, key)
    assert (lease.is_settled, lease.last_sent_at) == (True, None)


def test_what_was_created_is_returned_in_place_of_a_lease(leases: Leases, table: Table, key: Key) -> None:
    """GIVEN an item that is no lease any more THEN acquiring returns it."""
    done: dict[str, Any] = {"pk": key[0], "sk": key[1], "state": "active"}
    table.write(put(done))
    assert leases.acquire(key, PAYLOAD, SUBJECT, lease_request()) == done
    assert stored(table, key) is None


def test_only_leases_on_connections_expire(table: Table) -> None:
    """A customer's unfinished creation may have made a company; it has to stay until that is known.

    A connection's lease can be left behind when its company is closed, so DynamoDB removes it after a week.
    """
    company_id, customer_id = str(uuid4()), f"c-{uuid4()}"
    leases, connections, customers = Leases(table), Connections(table, timeline_lifetime=timedelta(1)), Customers(table)
    of_connection = connections.acquire(company_id, "qhyg", lease_request(lease=10))
    of_customer = customers.acquire(customer_id, Profile("Bank of Dave"), lease_request(lease=10))
    assert isinstance(of_customer, CreationLease)
    expires_at = int((NOW + LEASE_LIFETIME).timestamp())
    assert expiry(table, of_connection) == expires_at
    assert expiry(table, of_customer) is None
    # Also after a takeover, a new idempotency key and a release.
    of_connection = connections.acquire(company_id, "qhyg", lease_request(after=10))
    successor = customers.begin_deletion(customer_id, lease_request(after=10))
    assert isinstance(successor, CreationLease)
    for lease, expected in [(of_connection, expires_at + 10), (successor, None)]:
        leases.release(leases.rotate_key(lease, str(uuid4()), LATER))
        assert expiry(table, lease) == expected


def expiry(table: Table, lease: CreationLease) -> int | None:
    item = table.get(lease.key)
    assert item is not None
    return item.get("expiresAt")


@pytest.mark.parametrize("is_takeover", [True, False])
def test_a_lease_whose_answer_was_lost_is_still_ours(
    leases: Leases, table: Table, shaky: Table, wire: Proxy, key: Key, *, is_takeover: bool
) -> None:
    """Acquired for the first time or taken over: the repeated write finds its own owner."""
    if is_takeover:
        leases.release(acquire(leases, key))
    wire.next(*([passed_on] if is_takeover else []), lost)
    ours = acquire(Leases(shaky), key)
    assert stored(table, key) == as_crashed(ours)
    with pytest.raises(CreationInProgress):
        acquire(leases, key, after=1)


def test_rotating_releasing_and_discarding_survive_a_lost_answer(
    table: Table, shaky: Table, wire: Proxy, key: Key
) -> None:
    """Each, repeated, has the same effect."""
    leases = Leases(shaky)
    lease = acquire(leases, key)
    wire.next(lost)
    rotated = leases.rotate_key(lease, str(uuid4()), NOW)
    assert stored(table, key) == as_crashed(rotated)
    wire.next(lost)
    leases.release(rotated)
    successor = acquire(leases, key)
    assert successor.idempotency_key == rotated.idempotency_key
    wire.next(lost)
    leases.discard(successor)
    assert stored(table, key) is None
