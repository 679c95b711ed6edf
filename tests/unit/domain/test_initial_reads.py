"""`linkedAt`, `initialReadAt` and `initialReadIssues`, in any order of arrival and if facts are lost."""

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given, strategies as st

from shared.domain.connections import (
    SEVERED,
    Connection,
    Precedence,
    Status,
    StatusUpdate,
    merge,
    stamp,
    with_initial_read,
)
from shared.domain.initial_reads import MAX_KEPT, NO_EVIDENCE, InitialRead
from shared.domain.timestamps import Timestamp, timestamp
from tests.unit.domain.test_connections import CREATED, NOW, SOURCE, blank, ids, times, updates, visible

Fact = StatusUpdate | InitialRead


def _read_of(completed_at: Timestamp, event_id: str, failures: dict[str, str | None]) -> InitialRead:
    return InitialRead(
        completed_at=completed_at,
        event_id=event_id,
        complete=tuple(sorted(data_type for data_type, status in failures.items() if status is None)),
        failed=tuple(sorted((data_type, status) for data_type, status in failures.items() if status is not None)),
    )


reads = st.builds(
    _read_of,
    times,
    ids,
    st.dictionaries(
        st.sampled_from(["bills", "suppliers"]),
        st.sampled_from([None, "FetchError", "ProcessingError"]),
        min_size=1,
    ),
)
"""`read.completed.initial` events: of one data type or two, each complete or failed."""

facts = st.lists(updates | reads, min_size=1, max_size=12)


def after(connection: Connection, fact: Fact) -> Connection:
    return (
        merge(connection, fact, NOW)
        if isinstance(fact, StatusUpdate)
        else with_initial_read(connection, NOW, read=fact)
    )


def arrived(*arrivals: Fact) -> Connection:
    return reduce(after, arrivals, blank())


@given(facts, st.data())
def test_order_and_repetition_do_not_matter(reported: list[Fact], data: st.DataObject) -> None:
    """GIVEN updates and initial reads WHEN they arrive in another order, some twice THEN the state is the same."""
    again = data.draw(st.lists(st.sampled_from(reported), max_size=4))
    shuffled = data.draw(st.permutations([*reported, *again]))
    assert visible(arrived(*shuffled)) == visible(arrived(*reported))
    assert arrived(*shuffled) == arrived(*reported)


@given(facts)
def test_a_repeated_fact_changes_nothing(reported: list[Fact]) -> None:
    """The same object is returned, so that nothing has to be written."""
    state = arrived(*reported)
    for fact in reported:
        assert after(state, fact) is state


@given(facts)
def test_the_values_follow_from_the_set_of_facts(reported: list[Fact]) -> None:
    """The three values, computed from all facts at once, are those of merging fact by fact."""
    linked_at = linked_at_of(reported)
    state = arrived(*reported)
    assert state.linked_at == linked_at
    assert state.initial_read_at == initial_read_at_of(reported, linked_at)
    assert state.initial_read_issues == issues_of(reported, linked_at)


def linked_at_of(reported: list[Fact]) -> Timestamp | None:
    status_updates = [update for update in reported if isinstance(update, StatusUpdate)]
    linked = [time(update) for update in status_updates if update.status is Status.LINKED]
    if not linked:
        return None
    severed = [time(update) for update in status_updates if update.status in SEVERED and time(update) < max(linked)]
    by_event = [time(update) for update in status_updates if update.status is Status.LINKED and is_event(update)]
    if by_event and max(by_event) >= max(severed, default=""):
        return max(by_event)
    return max(severed, default=CREATED)


def initial_read_at_of(reported: list[Fact], linked_at: Timestamp | None) -> Timestamp | None:
    counting = [read for read in reported if isinstance(read, InitialRead) and read.completed_at >= (linked_at or "~")]
    if counting:
        ordered: list[Fact] = [*sorted(counting)]
        prefixes = [ordered[:number] for number in range(1, len(ordered) + 1)]
        failing = [number for number, prefix in enumerate(prefixes) if issues_of(prefix, linked_at)]
        complete = sorted(counting)[max(failing, default=-1) + 1 :]
        return complete[0].completed_at if complete else None
    syncs = [update.last_sync for update in reported if isinstance(update, StatusUpdate) and update.last_sync]
    return min((sync for sync in syncs if sync >= (linked_at or "~")), default=None)


def issues_of(reported: list[Fact], linked_at: Timestamp | None) -> tuple[tuple[str, str], ...]:
    issues = {}
    for data_type in ("bills", "suppliers"):
        outcomes = [
            (read.completed_at, read.event_id, dict(read.failed).get(data_type))
            for read in reported
            if isinstance(read, InitialRead)
            and read.completed_at >= (linked_at or "~")
            and data_type in {*read.complete, *dict(read.failed)}
        ]
        if outcomes:
            issues[data_type] = max(outcomes, key=lambda outcome: outcome[:2])[2]
    return tuple(sorted((data_type, status) for data_type, status in issues.items() if status is not None))


def time(update: StatusUpdate) -> Timestamp:
    return Timestamp(update.stamp.partition("#")[0])


def is_event(update: StatusUpdate) -> bool:
    return update.precedence is Precedence.EVENT


# Plain examples. A number is a minute past 10:00 on Codat's clock.


def at(minute: int) -> Timestamp:
    return timestamp(f"2026-11-22T10:{minute:02d}:00Z")


def event(status: Status | None, minute: int, *, synced: int | None = None) -> StatusUpdate:
    """A webhook: `connection.connected`, `.reconnected`, `.disconnected`; `.failed` has no status."""
    return StatusUpdate(
        stamp=stamp(at(minute), Precedence.EVENT, f"event-{minute}"),
        company_id="company",
        connection_id="connection",
        source=SOURCE,
        created_at=CREATED,
        status=status,
        error="cancelled" if status is None else None,
        last_sync=None if synced is None else at(synced),
    )


def answer(status: Status, minute: int, *, synced: int | None = None) -> StatusUpdate:
    """Codat's answer to a read of ours."""
    stamped = stamp(at(minute), Precedence.READ, f"read-{minute}")
    return replace(event(status, minute, synced=synced), stamp=stamped)


def our_change(status: Status, minute: int) -> StatusUpdate:
    """Codat's answer to a change of ours: an unlink."""
    return replace(event(status, minute), stamp=stamp(at(minute), Precedence.OUR_CHANGE, f"change-{minute}"))


def read(minute: int, **failed: str) -> InitialRead:
    """`read.completed.initial`, of bills and suppliers; `failed` by data type."""
    complete = tuple(sorted({"bills", "suppliers"} - set(failed)))
    return InitialRead(at(minute), f"initial-read-{minute}", complete, tuple(sorted(failed.items())))


def times_of(connection: Connection) -> tuple[Timestamp | None, Timestamp | None]:
    return connection.linked_at, connection.initial_read_at


def test_nothing_is_read_before_it_is_linked() -> None:
    """GIVEN a pending connection THEN neither a read nor a sync of it counts."""
    pending = event(Status.PENDING_AUTH, 0, synced=1)
    assert times_of(blank()) == (None, None)
    state = arrived(pending, read(2, bills="FetchError"), event(None, 3))
    assert times_of(state) == (None, None)
    assert state.initial_read_issues == ()


def test_the_event_of_the_initial_read_can_come_first() -> None:
    """Before the connection's first event: the placeholder is not shown, and nothing of it is lost."""
    early = arrived(read(5))
    assert early.is_placeholder
    assert times_of(early) == (None, None)
    assert times_of(after(early, event(Status.LINKED, 1))) == (at(1), at(5))
    # The read may also belong to an earlier authorisation.
    assert times_of(after(early, event(Status.LINKED, 6))) == (at(6), None)


def test_the_initial_read_is_the_first_after_linking() -> None:
    """GIVEN an event for each product THEN the earliest counts. A sync before the link does not."""
    linked = event(Status.LINKED, 1, synced=2)
    assert times_of(arrived(linked, read(7), read(5), read(9))) == (at(1), at(5))
    assert times_of(arrived(read(1), linked)) == (at(1), at(1))


def test_a_reconnect_starts_again() -> None:
    """An initial read of the earlier authorisation is dropped, also if it arrives late."""
    first: list[Fact] = [
        event(Status.LINKED, 1),
        read(3, bills="FetchError"),
        read(4),
        answer(Status.LINKED, 5, synced=5),
    ]
    assert times_of(arrived(*first)) == (at(1), at(4))
    severed = event(Status.DEAUTHORIZED, 10)
    # Until it is linked again, the last authorisation's values stay.
    assert times_of(arrived(*first, severed)) == (at(1), at(4))
    again = event(Status.LINKED, 20)
    for order in ([*first, severed, again], [again, severed, *first]):
        state = arrived(*order)
        assert times_of(state) == (at(20), None)
        assert state.initial_read_issues == ()
        assert state.evidence == NO_EVIDENCE
        assert times_of(after(state, read(22))) == (at(20), at(22))


def test_while_a_data_type_fails_the_initial_read_is_incomplete() -> None:
    """A later sync does not replace the event, which reports a failure."""
    state = arrived(event(Status.LINKED, 1), read(3, bills="FetchError"), answer(Status.LINKED, 6, synced=5))
    assert times_of(state) == (at(1), None)
    assert state.initial_read_issues == (("bills", "FetchError"),)


def test_a_later_complete_event_clears_a_failed_data_type() -> None:
    """In any order. A failure makes the initial read incomplete, also after a complete event."""
    linked, failed, complete = event(Status.LINKED, 1), read(3, bills="FetchError"), read(5)
    orders: list[list[Fact]] = [[linked, failed, complete], [complete, failed, linked]]
    for order in orders:
        state = arrived(*order)
        assert times_of(state) == (at(1), at(5))
        assert state.initial_read_issues == ()
    state = arrived(linked, complete, read(7, suppliers="ProcessingError"))
    assert times_of(state) == (at(1), None)
    assert state.initial_read_issues == (("suppliers", "ProcessingError"),)


def test_each_data_type_counts_for_itself() -> None:
    """GIVEN two events with different failed data types THEN the newest outcome of each data type counts."""
    bills = InitialRead(at(3), "a", complete=(), failed=(("bills", "FetchError"),))
    suppliers = InitialRead(at(4), "b", complete=("bills",), failed=(("suppliers", "FetchError"),))
    state = arrived(event(Status.LINKED, 1), bills, suppliers)
    assert times_of(state) == (at(1), None)
    assert state.initial_read_issues == (("suppliers", "FetchError"),)


def test_the_first_sync_since_linking_stands_in_for_a_lost_event() -> None:
    """`lastSync`, in any later response or webhook, counts from `linkedAt` on."""
    linked = event(Status.LINKED, 5, synced=4)
    assert times_of(arrived(linked)) == (at(5), None)
    assert times_of(arrived(linked, answer(Status.LINKED, 6, synced=5))) == (at(5), at(5))
    state = arrived(linked, answer(Status.LINKED, 9, synced=8), answer(Status.LINKED, 30, synced=20))
    assert times_of(state) == (at(5), at(8))
    # A late event decides.
    assert times_of(after(state, read(7))) == (at(5), at(7))
    assert times_of(after(state, read(25))) == (at(5), at(25))


def test_a_lost_connected_event_leaves_the_creation_as_lower_bound() -> None:
    """GIVEN a read with status Linked, and no event THEN it was linked at some time after its creation."""
    state = arrived(event(Status.PENDING_AUTH, 0), answer(Status.LINKED, 9, synced=8))
    assert times_of(state) == (CREATED, at(8))
    # A late event gives the exact time.
    assert times_of(after(state, event(Status.LINKED, 6))) == (at(6), at(8))


@pytest.mark.parametrize(
    "severed", [event(Status.DEAUTHORIZED, 10), our_change(Status.UNLINKED, 10), answer(Status.UNLINKED, 10)]
)
def test_a_lost_reconnected_event_leaves_the_end_of_the_last_link_as_lower_bound(severed: StatusUpdate) -> None:
    """The end may be reported by a webhook, our own unlink or a read. The earlier initial read does not count."""
    first: list[Fact] = [event(Status.LINKED, 1), read(3), severed]
    for order in ([*first, answer(Status.LINKED, 20)], [answer(Status.LINKED, 20), *reversed(first)]):
        state = arrived(*order)
        assert times_of(state) == (at(10), None)
        assert times_of(after(state, answer(Status.LINKED, 30, synced=25))) == (at(10), at(25))
        assert times_of(after(state, read(24))) == (at(10), at(24))
        # A late event gives the exact time. A sync before it belongs to no authorisation.
        assert times_of(after(after(state, answer(Status.LINKED, 30, synced=12)), event(Status.LINKED, 15))) == (
            at(15),
            None,
        )


def test_a_link_that_only_an_answer_shows_counts_after_its_end() -> None:
    """GIVEN responses with status Linked, and no event THEN the lower bound of each link is the end of the previous
    link, also after its own end.
    """
    first: list[Fact] = [answer(Status.LINKED, 5, synced=5), event(Status.DEAUTHORIZED, 10)]
    second: list[Fact] = [*first, answer(Status.LINKED, 20), our_change(Status.UNLINKED, 30)]
    for order in (first, first[::-1]):
        assert times_of(arrived(*order)) == (CREATED, at(5))
    for order in (second[:-1], second, second[::-1]):
        assert times_of(arrived(*order)) == (at(10), None)
    # A late event gives the exact time if it belongs to the last link.
    assert times_of(arrived(*second, event(Status.LINKED, 4))) == (at(10), None)
    assert times_of(arrived(*second, event(Status.LINKED, 15))) == (at(15), None)


def test_a_read_does_not_change_the_time_of_the_link() -> None:
    """GIVEN the event of an authorisation THEN later reads of it leave its time as it is."""
    state = arrived(event(Status.LINKED, 1), answer(Status.LINKED, 9), event(None, 10), answer(Status.LINKED, 11))
    assert state.linked_at == at(1)


def test_a_severed_or_deleted_connection_keeps_its_last_times() -> None:
    linked: list[Fact] = [event(Status.LINKED, 1), read(3)]
    for end in (event(Status.UNLINKED, 5), event(Status.DELETED, 5), answer(Status.DELETED, 5)):
        assert times_of(arrived(*linked, end)) == (at(1), at(3))
    # No fact shows that it was ever linked.
    assert times_of(arrived(event(Status.UNLINKED, 5), read(6))) == (None, None)


# Evidence is limited, because the item's size is.


def test_of_one_authorisation_the_earliest_evidence_is_kept() -> None:
    """GIVEN more reads and syncs than are kept, in any order THEN the first ones still decide."""
    syncs = [answer(Status.LINKED, minute, synced=minute) for minute in range(2, 4 + 3 * MAX_KEPT)]
    for order in (syncs, syncs[::-1]):
        state = arrived(event(Status.LINKED, 1), *order)
        assert times_of(state) == (at(1), at(2))
        assert len(state.evidence.syncs) == 2 * MAX_KEPT
    events = [read(minute) for minute in range(2, 4 + 3 * MAX_KEPT)]
    for ordered in (events, events[::-1]):
        state = arrived(event(Status.LINKED, 1), *ordered)
        assert times_of(state) == (at(1), at(2))
        assert len(state.evidence.reads) == 2 * MAX_KEPT


@pytest.mark.parametrize("order", ["event first", "answer first"])
def test_many_syncs_of_one_authorisation_leave_room_for_the_next(order: str) -> None:
    """GIVEN more daily syncs than are kept WHEN it is authorised again THEN the first sync after that counts.

    Also if an answer shows that sync before the `reconnected` event arrives.
    """
    daily = [answer(Status.LINKED, minute, synced=minute) for minute in range(2, 3 + 2 * MAX_KEPT)]
    state = arrived(event(Status.LINKED, 1), *daily, event(Status.DEAUTHORIZED, 30))
    again, synced = event(Status.LINKED, 40), answer(Status.LINKED, 50, synced=45)
    pair = [again, synced] if order == "event first" else [synced, again]
    assert times_of(reduce(after, pair, state)) == (at(40), at(45))


def test_many_syncs_of_one_authorisation_leave_room_for_one_whose_event_was_lost() -> None:
    """GIVEN more syncs than are kept WHEN only reads show that it was linked again THEN their first sync counts."""
    daily = [answer(Status.LINKED, minute, synced=minute) for minute in range(2, 3 + 2 * MAX_KEPT)]
    state = arrived(event(Status.LINKED, 1), *daily, event(Status.DEAUTHORIZED, 30))
    state = reduce(after, [answer(Status.LINKED, 50, synced=45), answer(Status.LINKED, 59, synced=55)], state)
    assert times_of(state) == (at(30), at(45))
