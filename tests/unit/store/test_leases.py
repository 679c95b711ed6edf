"""The lease rules, on a table of one item. `tests/integration/store/test_leases.py` has them on DynamoDB."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from shared.domain.errors import CreationInProgress
from shared.domain.leases import CreationLease, LeaseRequest
from shared.store.attributes import Item
from shared.store.leases import RELEASED, Leases, from_ms, lease_item, lease_of, lost, to_ms
from tests.unit.store.one_item_table import OneItemTable

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
KEY = ("CUSTOMER#c-1", "CUSTOMER")
SUBJECT = "Customer c-1"
PAYLOAD = {"customerId": "c-1", "name": "Bank of Dave", "tags": {"region": "us"}}
_numbers = count()


@pytest.fixture
def table() -> OneItemTable:
    return OneItemTable()


@pytest.fixture
def leases(table: Any) -> Leases:
    return Leases(table)


def lease_request(*, after: float = 0.0, duration: float = 30.0) -> LeaseRequest:
    number = next(_numbers)
    return LeaseRequest(
        now=NOW + timedelta(seconds=after),
        duration=timedelta(seconds=duration),
        owner=f"owner-{number}",
        idempotency_key=f"key-{number}",
        creation_id=f"creation-{number}",
    )


def acquire(leases: Leases, *, after: float = 0.0, duration: float = 30.0) -> CreationLease:
    lease = leases.acquire(KEY, PAYLOAD, SUBJECT, lease_request(after=after, duration=duration))
    assert isinstance(lease, CreationLease)
    return lease


def stored_item(lease: CreationLease) -> Item:
    """Return the lease's item as the table stores it: without empty attributes."""
    return {name: value for name, value in lease_item(lease).items() if value is not None}


def released(lease: CreationLease) -> CreationLease:
    return replace(lease, lease_until=RELEASED)


def test_a_released_lease_is_read_as_it_was_stored(leases: Leases) -> None:
    """In whole milliseconds."""
    lease = replace(acquire(leases), last_sent_at=NOW + timedelta(milliseconds=1))
    assert lease_of(stored_item(released(lease)), SUBJECT) == released(lease)


@pytest.mark.parametrize("is_settled", [True, False])
@pytest.mark.parametrize("last_sent_at", [None, NOW])
def test_a_lease_that_was_not_released_is_read_as_unsettled(
    leases: Leases, last_sent_at: datetime | None, *, is_settled: bool
) -> None:
    """Its owner may have sent a request until the lease ended."""
    held = replace(acquire(leases), is_settled=is_settled, last_sent_at=last_sent_at)
    read = lease_of(stored_item(held), SUBJECT)
    assert read == replace(held, is_settled=False, last_sent_at=held.lease_until)


def test_times_are_stored_in_milliseconds() -> None:
    moment = NOW + timedelta(microseconds=1_500)
    assert to_ms(NOW) == 1_795_348_800_000
    assert from_ms(to_ms(moment)) == NOW + timedelta(milliseconds=2)
    assert to_ms(RELEASED) == 0


def test_a_free_key_is_leased(leases: Leases, table: OneItemTable) -> None:
    request = lease_request()
    lease = leases.acquire(KEY, PAYLOAD, SUBJECT, request, expires_at=7)
    assert isinstance(lease, CreationLease)
    assert (lease.owner, lease.idempotency_key) == (request.owner, request.idempotency_key)
    assert (lease.creation_id, lease.lease_until) == (request.creation_id, NOW + timedelta(seconds=30))
    assert (lease.is_settled, lease.last_sent_at) == (True, None)
    assert lease.payload == {**PAYLOAD, "expiresAt": 7}
    assert table.item == stored_item(lease)


@pytest.mark.parametrize(("after", "retry_after"), [(0.0, 30), (10.5, 20), (29.9, 1)])
def test_a_held_lease_is_refused(leases: Leases, table: OneItemTable, after: float, retry_after: int) -> None:
    acquire(leases)
    before = table.item
    with pytest.raises(CreationInProgress) as refused:
        acquire(leases, after=after)
    assert refused.value.retry_after == retry_after
    assert table.item == before


@pytest.mark.parametrize("end", ["expired", "released"])
def test_a_lease_that_ended_is_taken_over(leases: Leases, end: str) -> None:
    """GIVEN an owner that crashed or gave up THEN the successor repeats its request: same key, id and payload."""
    first = acquire(leases)
    if end == "released":
        leases.release(first)
    other = {**PAYLOAD, "name": "Bank of Mary"}
    successor = leases.acquire(KEY, other, SUBJECT, lease_request(after=30))
    assert isinstance(successor, CreationLease)
    assert successor.owner != first.owner
    assert (successor.idempotency_key, successor.creation_id) == (first.idempotency_key, first.creation_id)
    assert (successor.key_issued_at, successor.payload) == (NOW, PAYLOAD)
    assert successor.lease_until == NOW + timedelta(seconds=60)
    sent_until = None if end == "released" else first.lease_until
    assert (successor.is_settled, successor.last_sent_at) == (end == "released", sent_until)


def test_a_takeover_renews_the_expiry(leases: Leases) -> None:
    leases.acquire(KEY, PAYLOAD, SUBJECT, lease_request(), expires_at=7)
    successor = leases.acquire(KEY, PAYLOAD, SUBJECT, lease_request(after=30), expires_at=8)
    assert isinstance(successor, CreationLease)
    assert successor.payload["expiresAt"] == 8


def test_only_the_first_of_two_successors_gets_the_lease(leases: Leases) -> None:
    """Both read the lease of the crashed owner."""
    crashed = acquire(leases)
    leases.take_over(crashed, lease_request(after=30))
    with pytest.raises(CreationInProgress) as refused:
        leases.take_over(crashed, lease_request(after=31))
    assert refused.value.retry_after == 29


def test_a_repeated_write_recognises_its_own_owner(leases: Leases) -> None:
    """GIVEN a write whose answer was lost THEN its repetition returns the same lease."""
    request = lease_request()
    first = leases.acquire(KEY, PAYLOAD, SUBJECT, request)
    assert leases.acquire(KEY, PAYLOAD, SUBJECT, request) == first
    assert isinstance(first, CreationLease)
    takeover = lease_request(after=30)
    successor = leases.take_over(first, takeover)
    assert leases.take_over(first, takeover) == successor


def test_an_item_that_is_no_lease_is_returned(leases: Leases, table: OneItemTable) -> None:
    table.item = {"pk": KEY[0], "sk": KEY[1], "state": "active"}
    assert leases.acquire(KEY, PAYLOAD, SUBJECT, lease_request()) == table.item


def test_a_rotated_key_is_settled_and_keeps_the_creation(leases: Leases, table: OneItemTable) -> None:
    sent = replace(acquire(leases), is_settled=False, last_sent_at=NOW)
    rotated = leases.rotate_key(sent, "new-key", LATER)
    assert rotated == replace(sent, idempotency_key="new-key", key_issued_at=LATER, is_settled=True)
    assert table.item is not None
    assert (table.item["idempotencyKey"], table.item["keyIssuedAt"]) == ("new-key", to_ms(LATER))


@pytest.mark.parametrize("end", [Leases.release, Leases.discard])
def test_a_lost_lease_changes_nothing(
    leases: Leases, table: OneItemTable, end: Callable[[Leases, CreationLease], None]
) -> None:
    """GIVEN a successor THEN the first owner can neither rotate the key nor end the lease."""
    slow = acquire(leases)
    acquire(leases, after=30)
    before = table.item
    with pytest.raises(CreationInProgress) as refused:
        leases.rotate_key(slow, "new-key", NOW + timedelta(seconds=40))
    assert refused.value.retry_after == 20
    end(leases, slow)
    assert table.item == before


def test_a_discarded_lease_is_deleted(leases: Leases, table: OneItemTable) -> None:
    first = acquire(leases)
    leases.discard(first)
    assert table.item is None
    assert acquire(leases).creation_id != first.creation_id


def test_the_error_of_a_lost_lease_says_how_long_the_new_one_lasts(leases: Leases) -> None:
    lease = acquire(leases)
    assert lost(lease, {"leaseUntil": to_ms(NOW + timedelta(seconds=9))}, NOW).retry_after == 9
    assert lost(lease, None, NOW).retry_after == 1
