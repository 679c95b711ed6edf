"""The claim on a creation: at most one holder, and what the dead leave behind is found."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.claims import Claim
from shared.domain.errors import CreationInProgress
from shared.store.claims import Claims
from shared.store.table import Key, Table, put
from tests.faults.proxy import Proxy, lost, passed_on
from tests.store.conftest import NOW, terms

PAYLOAD = {"customerId": "c-1", "name": "Bank of Dave", "tags": {"region": "us"}}


@pytest.fixture
def claims(table: Table) -> Claims:
    return Claims(table)


@pytest.fixture
def place() -> Key:
    return f"CUSTOMER#{uuid4()}", "CUSTOMER"


def take(claims: Claims, place: Key, **when: float) -> Claim:
    taken = claims.take(place, PAYLOAD, "Customer c-1", terms(**when))
    assert isinstance(taken, Claim)
    return taken


def stored(claims: Claims, place: Key) -> Claim | None:
    return claims.find(place, "Customer c-1")


def unfresh(claim: Claim) -> Claim:
    """What is read of a claim: somebody may have sent its key."""
    return replace(claim, fresh=False)


def test_a_claim_is_written_down_whole(claims: Claims, place: Key) -> None:
    """With its key, before anybody can have sent it."""
    mine = terms()
    claim = claims.take(place, PAYLOAD, "Customer c-1", mine)
    assert isinstance(claim, Claim)
    assert claim.fresh
    assert (claim.idempotency_key, claim.owner) == (mine.idempotency_key, mine.owner)
    assert (claim.key_issued_at, claim.lease_until) == (NOW, NOW + timedelta(seconds=30))
    assert stored(claims, place) == unfresh(claim)


def test_one_that_is_held_is_refused_until_its_lease_is_over(claims: Claims, place: Key) -> None:
    """The refusal says in whole seconds what is left of it."""
    held = take(claims, place, lease=29.2)
    for after, left in [(0.0, 30), (10.0, 20), (28.3, 1), (29.1, 1)]:
        with pytest.raises(CreationInProgress) as refused:
            take(claims, place, after=after)
        assert refused.value.retry_after == left
    assert stored(claims, place) == unfresh(held)


def test_a_lease_that_ran_out_is_taken_over_with_its_key(claims: Claims, place: Key) -> None:
    """What its dead holder may have sent is sent again as it was; the payload is the first one's."""
    dead = take(claims, place, lease=10)
    heir = claims.take(place, {**PAYLOAD, "name": "Other"}, "Customer c-1", terms(after=10))
    assert isinstance(heir, Claim)
    assert (heir.idempotency_key, heir.key_issued_at, heir.payload) == (dead.idempotency_key, NOW, PAYLOAD)
    assert not heir.fresh
    assert heir.owner != dead.owner
    with pytest.raises(CreationInProgress) as refused:
        take(claims, place, after=11)
    assert refused.value.retry_after == 29


def test_of_two_heirs_one_has_the_claim(claims: Claims, place: Key) -> None:
    """Both read the dead one's; the other is told how long to wait."""
    dead = take(claims, place, lease=10)
    heir = claims.take_over(dead, terms(after=10))
    with pytest.raises(CreationInProgress) as refused:
        claims.take_over(dead, terms(after=11))
    assert refused.value.retry_after == 29
    assert stored(claims, place) == heir


def test_who_lost_the_claim_can_do_nothing_with_it(claims: Claims, place: Key) -> None:
    """Renewing is refused; releasing and dropping leave the heir's alone."""
    slow = take(claims, place, lease=10)
    heir = take(claims, place, after=12)
    with pytest.raises(CreationInProgress) as refused:
        claims.renew_key(slow, str(uuid4()), NOW + timedelta(seconds=15))
    assert refused.value.retry_after == 27
    claims.release(slow)
    claims.drop(slow)
    assert stored(claims, place) == heir


def test_a_new_key_is_written_before_it_is_used(claims: Claims, place: Key) -> None:
    """Whoever takes over finds the new one, and its age."""
    claim, key, later = take(claims, place), str(uuid4()), NOW + timedelta(minutes=1)
    renewed = claims.renew_key(claim, key, later)
    assert (renewed.idempotency_key, renewed.key_issued_at, renewed.fresh) == (key, later, True)
    assert stored(claims, place) == unfresh(renewed)


def test_a_released_claim_is_taken_over_at_once(claims: Claims, place: Key) -> None:
    """With its key."""
    claim = take(claims, place)
    claims.release(claim)
    heir = take(claims, place)
    assert (heir.idempotency_key, heir.fresh) == (claim.idempotency_key, False)


def test_a_dropped_claim_is_as_if_it_had_never_been(claims: Claims, place: Key) -> None:
    """The next one is fresh."""
    claims.drop(take(claims, place))
    assert stored(claims, place) is None
    assert take(claims, place).fresh


def test_what_came_of_a_claim_is_handed_over(claims: Claims, table: Table, place: Key) -> None:
    """An item that is no claim any more is the answer."""
    done: dict[str, Any] = {"pk": place[0], "sk": place[1], "state": "active"}
    table.write(put(done))
    assert claims.take(place, PAYLOAD, "Customer c-1", terms()) == done
    assert stored(claims, place) is None


@pytest.mark.parametrize("over", [False, True])
def test_a_claim_whose_answer_was_lost_is_still_ours(
    claims: Claims, shaky: Table, wire: Proxy, place: Key, *, over: bool
) -> None:
    """Taken for the first time or taken over: the repeated write finds its own owner in its way."""
    if over:
        claims.release(take(claims, place))
    wire.next(*([passed_on] if over else []), lost)
    mine = take(Claims(shaky), place)
    assert stored(claims, place) == unfresh(mine)
    with pytest.raises(CreationInProgress):
        take(claims, place, after=1)


def test_renewing_releasing_and_dropping_outlive_a_lost_answer(shaky: Table, wire: Proxy, place: Key) -> None:
    """Each, repeated, is the same."""
    claims = Claims(shaky)
    claim = take(claims, place)
    wire.next(lost)
    renewed = claims.renew_key(claim, str(uuid4()), NOW)
    assert stored(claims, place) == unfresh(renewed)
    wire.next(lost)
    claims.release(renewed)
    heir = take(claims, place)
    wire.next(lost)
    claims.drop(heir)
    assert stored(claims, place) is None
