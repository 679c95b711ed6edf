"""The connection as a last-writer-wins register: examples in every order, and properties."""

from dataclasses import replace
from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, strategies as st

from shared.domain.connections import (
    NO_STAMP,
    Connection,
    NextAction,
    Precedence,
    Source,
    Stamp,
    Status,
    StatusUpdate,
    merge,
    placeholder,
    stamp,
    stamp_answer,
    time_of,
    with_abandoned_link,
    with_connector,
    with_issued_link,
)
from shared.domain.timestamps import Timestamp, just_after, timestamp

NOW = timestamp("2026-11-22T12:00:00Z")
LATER = timestamp("2026-11-22T12:00:01Z")
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


def update(
    status: Status | None, second: int, precedence: Precedence = Precedence.EVENT, *, error: str | None = None
) -> StatusUpdate:
    """Return an update of a number of seconds past 10:00 on Codat's clock."""
    at = timestamp(f"2026-11-22T10:00:{second:02d}Z")
    identity = f"{precedence.name}-{second}"
    return StatusUpdate(stamp(at, precedence, identity), "company", "connection", SOURCE, CREATED, status, error)


created = update(Status.PENDING_AUTH, 1)
cancelled = update(None, 2, error="The user cancelled.")
linked = update(Status.LINKED, 3)
unlinked = update(Status.UNLINKED, 4, Precedence.OUR_CHANGE)
revoked_at_platform = update(Status.DEAUTHORIZED, 5, error="Access was revoked.")
reconnected = update(Status.LINKED, 6)
deleted = update(Status.DELETED, 7)
read_as_pending = update(Status.PENDING_AUTH, 3, Precedence.READ)
unlinked_in_the_second_of_the_link = update(Status.UNLINKED, 3, Precedence.OUR_CHANGE)
REVOKED = "QuickBooks Online no longer allows access: it was revoked there, or has expired. Connect again."


@pytest.mark.parametrize(
    ("reported", "status", "error", "next_action"),
    [
        ([], Status.PENDING_AUTH, None, NextAction.AUTHORIZE),
        ([created], Status.PENDING_AUTH, None, NextAction.AUTHORIZE),
        ([created, cancelled], Status.PENDING_AUTH, "The user cancelled.", NextAction.AUTHORIZE),
        ([cancelled], Status.PENDING_AUTH, "The user cancelled.", NextAction.AUTHORIZE),
        ([created, cancelled, linked], Status.LINKED, None, NextAction.NONE),
        ([linked], Status.LINKED, None, NextAction.NONE),
        ([created, linked, unlinked], Status.UNLINKED, None, NextAction.RECONNECT),
        ([linked, revoked_at_platform], Status.DEAUTHORIZED, "Access was revoked.", NextAction.RECONNECT),
        ([linked, update(Status.DEAUTHORIZED, 5)], Status.DEAUTHORIZED, REVOKED, NextAction.RECONNECT),
        ([linked, revoked_at_platform, reconnected], Status.LINKED, None, NextAction.NONE),
        ([created, linked, reconnected, deleted], Status.DELETED, None, NextAction.NONE),
        ([deleted, update(Status.LINKED, 9)], Status.DELETED, None, NextAction.NONE),
        ([linked, read_as_pending], Status.LINKED, None, NextAction.NONE),
        ([linked, unlinked_in_the_second_of_the_link], Status.LINKED, None, NextAction.NONE),
        ([read_as_pending, unlinked_in_the_second_of_the_link], Status.UNLINKED, None, NextAction.RECONNECT),
    ],
)
def test_every_order_of_arrival_ends_in_the_same_state(
    reported: list[StatusUpdate], status: Status, error: str | None, next_action: NextAction
) -> None:
    """GIVEN updates WHEN they arrive in any order, each of them twice THEN the newest state on Codat's clock stays."""
    for order in permutations(reported):
        for arrivals in (order, [*order, *order], [each for each in order for _ in range(2)]):
            connection = merged(list(arrivals))
            assert (connection.status, connection.error, connection.next_action) == (status, error, next_action)
            assert connection == merged(reported)


def test_a_late_update_raises_only_the_registers_that_it_is_newer_than() -> None:
    """GIVEN a Linked connection WHEN an older error arrives THEN the status and the absent error stay."""
    connection = merged([created, linked])
    late = merge(connection, cancelled, LATER)
    assert late is connection
    newer_error = merge(connection, update(None, 4, error="The sync failed."), LATER)
    assert (newer_error.status, newer_error.status_stamp) == (Status.LINKED, linked.stamp)
    assert (newer_error.reported_error, newer_error.updated_at) == ("The sync failed.", LATER)
    assert newer_error.error is None


def test_a_platform_with_a_connector_asks_to_install_it() -> None:
    desktop = Source("pqsw", "QuickBooks Desktop", "Accounting")
    pending = with_connector(merged([replace(created, source=desktop), replace(cancelled, source=desktop)]), NOW)
    assert pending.next_action is NextAction.INSTALL_CONNECTOR
    assert pending.error is not None
    assert pending.error.startswith("The user cancelled. QuickBooks Desktop needs its connector")
    unlinked_again = merge(pending, replace(unlinked, source=desktop), NOW)
    assert unlinked_again.next_action is NextAction.RECONNECT


def test_a_stamp_contains_time_precedence_and_id() -> None:
    """An id may contain the separator."""
    stamped = replace(created, stamp=stamp(NOW, Precedence.OUR_CHANGE, "id#1"))
    assert (time_of(stamped.stamp), stamped.precedence, stamped.event_id) == (NOW, Precedence.OUR_CHANGE, "id#1")


@given(st.lists(updates, min_size=1, max_size=8))
def test_the_newest_status_wins_and_deleted_is_final(reported: list[StatusUpdate]) -> None:
    """In the order of Codat's clock, each status replaces the previous."""
    assert merged(reported).status is status_of(reported)


def status_of(reported: list[StatusUpdate]) -> Status:
    statuses = [update.status for update in sorted(reported, key=lambda update: update.stamp) if update.status]
    return Status.DELETED if Status.DELETED in statuses else statuses[-1] if statuses else Status.PENDING_AUTH


@given(times, st.permutations(list(Precedence)), st.permutations(["a", "b", "c"]))
def test_at_equal_times_an_event_wins_over_our_change_and_our_change_over_a_read(
    at: Timestamp, arrival: list[Precedence], ids: list[str]
) -> None:
    """The ids and the order of arrival don't matter."""
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
def test_the_newest_error_since_the_last_link_is_shown(reported: list[StatusUpdate]) -> None:
    """An error stays until the customer links or a newer error arrives. A revoked connection always has an error."""
    error = None
    for update in sorted(reported, key=lambda update: update.stamp):
        if update.error is not None or update.status is Status.LINKED:
            error = None if update.status is Status.LINKED else update.error
    state = merged(reported)
    if state.status is Status.DEAUTHORIZED:
        error = error or REVOKED.replace("QuickBooks Online", state.source.platform_name)
    assert state.error == (None if state.status in {Status.LINKED, Status.DELETED} else error)


@given(st.permutations(["qhyg", "", "", ""]))
def test_a_platform_key_is_kept_if_later_updates_leave_it_out(keys: list[str]) -> None:
    """Without the key, a later request for the platform would create a second connection."""
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


@given(st.lists(updates, max_size=6), times, st.sampled_from([Precedence.READ, Precedence.OUR_CHANGE]))
def test_an_answer_is_newer_than_the_state_before_its_request(
    reported: list[StatusUpdate], at: Timestamp, precedence: Precedence
) -> None:
    """The `Date` header has whole seconds, so without this floor the answer could seem older."""
    state, answer = merged(reported), replace(update(Status.LINKED, 1), stamp=stamp(at, precedence))
    stamped = stamp_answer(answer, state if reported else None, "id")
    assert (stamped.precedence, stamped.event_id) == (precedence, "id")
    assert stamped.stamp > state.last_update_stamp
    floor = at if state.last_update_stamp == NO_STAMP else just_after(time_of(state.last_update_stamp))
    assert time_of(stamped.stamp) == max(at, floor)
    # A placeholder has no stamp, and so no floor.
    assert time_of(stamp_answer(answer, blank(), "id").stamp) == at


def test_a_link_that_was_not_used_is_abandoned_until_a_new_one_is_issued() -> None:
    """GIVEN a pending connection THEN its newest link counts. Another status ends the wait."""
    early, late = timestamp("2026-11-22T10:00:00Z"), timestamp("2026-11-22T11:00:00Z")
    pending = merge(blank(), update(Status.PENDING_AUTH, 0), NOW)
    assert with_abandoned_link(blank(), NOW, before=late).abandoned_at is None
    assert with_abandoned_link(pending, NOW, before=CREATED) is pending
    issued = with_issued_link(pending, early)
    assert with_abandoned_link(issued, NOW, before=late).abandoned_at == NOW
    abandoned = with_abandoned_link(pending, late, before=late)
    assert abandoned.abandoned_at == late
    assert abandoned.error == "The link to QuickBooks Online was not used in time. Ask for a new one."
    assert with_abandoned_link(abandoned, NOW, before=late) is abandoned
    assert with_issued_link(abandoned, NOW).abandoned_at is None
    assert merge(abandoned, update(Status.LINKED, 1), NOW).abandoned_at is None
    assert with_abandoned_link(issued, late, before=early) is issued
    linked = merge(pending, update(Status.LINKED, 1), NOW)
    assert with_abandoned_link(linked, NOW, before=late) is linked


def test_a_snapshot_differs_by_status_error_or_platform_key() -> None:
    """A newer sync is checked separately."""
    pending = merge(blank(), replace(update(Status.PENDING_AUTH, 0), error="cancelled", last_sync=CREATED), NOW)
    same = StatusUpdate(
        stamp=stamp(NOW, Precedence.READ, ""),
        company_id="company",
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
