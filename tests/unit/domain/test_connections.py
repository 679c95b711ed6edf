"""The register's rule, as a property: the state depends on what was reported, not on how it arrived."""

from dataclasses import replace
from functools import reduce
from typing import Any

from hypothesis import given, strategies as st

from shared.domain.connection_errors import revoked
from shared.domain.connections import (
    NEVER,
    Connection,
    ConnectionSnapshot,
    Precedence,
    Source,
    Stamp,
    Status,
    StatusUpdate,
    merge,
    placeholder,
    stamp,
    stamp_of_answer,
    time_of,
    with_abandoned_link,
    with_issued_link,
)
from shared.domain.timestamps import Timestamp, just_after, timestamp

NOW = timestamp("2026-11-22T12:00:00Z")
CREATED = timestamp("2026-11-22T09:00:00Z")
SOURCE = Source("qhyg", "QuickBooks Online", "Accounting")

# Few times, so that several updates have the same.
times = st.sampled_from([timestamp(f"2026-11-22T10:00:0{second}Z") for second in range(6)])
ids = st.uuids().map(str)
_statuses = st.sampled_from([*Status, None])
_errors = st.sampled_from([None, "cancelled", "revoked"])


def _update_of(stamped: Stamp, status: Status | None, error: str | None, last_sync: Timestamp | None) -> StatusUpdate:
    return StatusUpdate(
        stamp=stamped,
        company_id="company",
        connection_id="connection",
        source=SOURCE,
        created_at=CREATED,
        status=status,
        error=error if status is not None else "cancelled",
        last_sync=last_sync,
    )


updates = st.builds(
    _update_of, st.builds(stamp, times, st.sampled_from(Precedence), ids), _statuses, _errors, st.none() | times
)
"""Events, answers to our changes, and answers to reads."""


def blank() -> Connection:
    return placeholder("company", "connection", "c-1", NOW)


def merged(reported: list[StatusUpdate]) -> Connection:
    return reduce(lambda connection, update: merge(connection, update, NOW), reported, blank())


def visible(connection: Connection) -> dict[str, Any]:
    return {
        "status": connection.status,
        "error": connection.error,
        "nextAction": connection.next_action,
        "asOf": connection.as_of,
        "lastSync": connection.last_sync,
        "linkedAt": connection.linked_at,
        "initialReadAt": connection.initial_read_at,
        "initialReadIssues": connection.initial_read_issues,
    }


@given(st.lists(updates, min_size=1, max_size=8), st.data())
def test_any_order_and_any_number_of_duplicates_end_in_the_same_state(
    reported: list[StatusUpdate], data: st.DataObject
) -> None:
    """The register is a set of maxima."""
    again = data.draw(st.lists(st.sampled_from(reported), max_size=4))
    shuffled = data.draw(st.permutations([*reported, *again]))
    assert visible(merged(list(shuffled))) == visible(merged(reported))
    assert merged(list(shuffled)) == merged(reported)


@given(st.lists(updates, min_size=1, max_size=8))
def test_the_status_is_the_newest_one_and_deleted_is_final(reported: list[StatusUpdate]) -> None:
    """In the order of Codat's clock, each update simply replaces the one before."""
    assert merged(reported).status is status_of(reported)


def status_of(reported: list[StatusUpdate]) -> Status:
    statuses = [update.status for update in sorted(reported, key=lambda update: update.stamp) if update.status]
    return Status.DELETED if Status.DELETED in statuses else statuses[-1] if statuses else Status.PENDING_AUTH


@given(times, st.permutations(list(Precedence)), st.permutations(["a", "b", "c"]))
def test_at_one_time_an_event_wins_over_our_change_and_that_over_a_read(
    at: Timestamp, arrival: list[Precedence], ids: list[str]
) -> None:
    """Whatever their ids, and whichever came first."""
    statuses = {
        Precedence.READ: Status.PENDING_AUTH,
        Precedence.OUR_CHANGE: Status.UNLINKED,
        Precedence.EVENT: Status.LINKED,
    }
    for highest, *lower in (
        [Precedence.OUR_CHANGE, Precedence.READ],
        [Precedence.EVENT, Precedence.OUR_CHANGE],
        [Precedence.EVENT, Precedence.READ],
    ):
        reported = [
            StatusUpdate(stamp(at, precedence, identity), "company", "connection", SOURCE, at, statuses[precedence])
            for precedence, identity in zip(arrival, ids, strict=True)
            if precedence in {highest, *lower}
        ]
        assert merged(reported).status is statuses[highest]


@given(st.lists(updates, min_size=1, max_size=8))
def test_the_error_is_the_newest_one_since_the_last_link(reported: list[StatusUpdate]) -> None:
    """An error stays until the customer links, or a newer one comes; what was revoked without one says so."""
    error = None
    for update in sorted(reported, key=lambda update: update.stamp):
        if update.error is not None or update.status is Status.LINKED:
            error = None if update.status is Status.LINKED else update.error
    state = merged(reported)
    if state.status is Status.DEAUTHORIZED:
        error = error or revoked(state.source.platform_name)
    assert state.error == (None if state.status in {Status.LINKED, Status.DELETED} else error)


@given(st.permutations(["qhyg", "", "", ""]))
def test_a_platform_that_was_named_once_stays(keys: list[str]) -> None:
    """Codat may leave the key out; without it the connection would not be found to be used again."""
    reported = [
        StatusUpdate(
            stamp(NOW, Precedence.EVENT, str(place)),
            "company",
            "connection",
            Source(key, "", "Accounting"),
            NOW,
            None,
        )
        for place, key in enumerate(keys)
    ]
    for ordered in (reported, reported[::-1]):
        assert merged(ordered).source.platform_key == "qhyg"


@given(st.lists(updates, min_size=1, max_size=6))
def test_a_repeated_update_changes_nothing(reported: list[StatusUpdate]) -> None:
    """Merging it returns the very same state, so that nothing has to be written."""
    state = merged(reported)
    for update in reported:
        assert merge(state, update, NOW) is state


@given(st.lists(updates, min_size=1, max_size=6), updates)
def test_a_tombstone_stays_as_it_is(reported: list[StatusUpdate], late: StatusUpdate) -> None:
    """Its company is gone: no late update brings personal data back."""
    tombstone = replace(merged(reported), is_tombstone=True)
    assert merge(tombstone, late, NOW) is tombstone
    assert with_issued_link(tombstone, NOW) is tombstone


@given(st.lists(updates, max_size=6), times, st.sampled_from([Precedence.READ, Precedence.OUR_CHANGE]))
def test_an_answer_is_newer_than_the_state_before_its_request(
    reported: list[StatusUpdate], at: Timestamp, precedence: Precedence
) -> None:
    """Although the `Date` header has whole seconds."""
    state = merged(reported)
    stamped = stamp_of_answer(at, precedence, state if reported else None, "id")
    assert stamped > state.last_update_stamp
    floor = at if state.last_update_stamp == NEVER else just_after(time_of(state.last_update_stamp))
    assert time_of(stamped) == max(at, floor)
    # What a placeholder knows came without a stamp, so it is no floor.
    assert time_of(stamp_of_answer(at, precedence, blank(), "id")) == at


def test_a_link_that_was_not_used_is_abandoned_until_a_new_one_is_issued() -> None:
    """GIVEN a pending connection THEN its newest link counts, and another status ends the wait."""
    early, late = timestamp("2026-11-22T10:00:00Z"), timestamp("2026-11-22T11:00:00Z")
    pending = merge(blank(), _update(Status.PENDING_AUTH), NOW)
    assert not blank().is_abandoned(before=late)
    assert pending.is_abandoned(before=late)
    assert not pending.is_abandoned(before=CREATED)
    issued = with_issued_link(pending, early)
    assert issued.is_abandoned(before=late)
    assert not issued.is_abandoned(before=early)
    abandoned = with_abandoned_link(pending, late, before=late)
    assert abandoned.abandoned_at == late
    assert abandoned.error == "The link to QuickBooks Online was not used in time. Ask for a new one."
    assert with_abandoned_link(abandoned, NOW, before=late) is abandoned
    assert with_issued_link(abandoned, NOW).abandoned_at is None
    assert merge(abandoned, _update(Status.LINKED, second=1), NOW).abandoned_at is None
    assert with_abandoned_link(issued, late, before=early) is issued
    linked = merge(pending, _update(Status.LINKED, second=1), NOW)
    assert with_abandoned_link(linked, NOW, before=late) is linked


def test_what_a_list_shows_differently() -> None:
    """The status, another error, or the platform's key; a newer sync is a question of its own."""
    pending = merge(blank(), replace(_update(Status.PENDING_AUTH), error="cancelled", last_sync=CREATED), NOW)
    same = ConnectionSnapshot(
        at=NOW,
        connection_id="connection",
        source=SOURCE,
        created_at=CREATED,
        status=Status.PENDING_AUTH,
        error="cancelled",
        last_sync=CREATED,
    )
    assert not same.differs_from(pending)
    assert not replace(same, error=None).differs_from(pending)
    assert not replace(same, last_sync=None).has_newer_sync(pending)
    assert replace(same, error="revoked").differs_from(pending)
    assert replace(same, status=Status.LINKED).differs_from(pending)
    nameless = replace(pending, source=replace(SOURCE, platform_key=""))
    assert same.differs_from(nameless)
    assert not replace(same, last_sync=NOW).differs_from(pending)
    assert replace(same, last_sync=NOW).has_newer_sync(pending)
    assert not same.has_newer_sync(pending)


def _update(status: Status, second: int = 0) -> StatusUpdate:
    at = timestamp(f"2026-11-22T10:00:0{second}Z")
    return StatusUpdate(stamp(at, Precedence.EVENT, "e"), "company", "connection", SOURCE, CREATED, status)
