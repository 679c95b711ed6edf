"""The register's rule, as a property: the state depends on what was said, never on how it arrived."""

from dataclasses import replace
from functools import reduce
from typing import Any

from hypothesis import given, strategies as st

from shared.domain.connections import Connection, Rank, Report, Source, Status, merge, read_initially, stamp, unheard
from shared.domain.instants import Instant, instant
from shared.domain.reasons import revoked

NOW = instant("2026-11-22T12:00:00Z")
SOURCE = Source("qhyg", "QuickBooks Online", "Accounting")

times = st.integers(0, 5).map(lambda second: instant(f"2026-11-22T10:00:0{second}Z"))


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """An event, an answer or a read; few times, so that ties happen."""
    status = draw(st.sampled_from([*Status, None]))
    return Report(
        stamp=stamp(draw(times), draw(st.sampled_from(list(Rank))), draw(st.uuids().map(str))),
        company_id="company",
        connection_id="connection",
        source=SOURCE,
        created_at=Instant("2026-11-22T09:00:00.0000000Z"),
        status=status,
        reason=draw(st.sampled_from([None, "cancelled", "revoked"])) if status is not None else "cancelled",
        last_sync=draw(st.none() | times),
    )


def heard(said: list[Report]) -> Connection:
    blank = unheard("company", "connection", "c-1", NOW)
    return reduce(lambda known, report: merge(known, report, NOW), said, blank)


def visible(connection: Connection) -> dict[str, Any]:
    return {
        "status": connection.status,
        "error": connection.error,
        "nextAction": connection.next_action,
        "asOf": connection.as_of,
        "lastSync": connection.last_sync,
    }


@given(st.lists(reports(), min_size=1, max_size=8), st.data())
def test_any_order_and_any_number_of_duplicates_end_in_the_same_state(said: list[Report], data: st.DataObject) -> None:
    """The register is a set of maxima."""
    again = data.draw(st.lists(st.sampled_from(said), max_size=4))
    shuffled = data.draw(st.permutations([*said, *again]))
    assert visible(heard(list(shuffled))) == visible(heard(said))
    assert replace(heard(list(shuffled)), version=0) == replace(heard(said), version=0)


@given(st.lists(reports(), min_size=1, max_size=8))
def test_the_status_is_the_newest_that_was_said_and_deleted_is_final(said: list[Report]) -> None:
    """Told in the order of Codat's clock, each report simply replaces the one before."""
    told = [report.status for report in sorted(said, key=lambda report: report.stamp) if report.status is not None]
    expected = Status.DELETED if Status.DELETED in told else told[-1] if told else Status.PENDING_AUTH
    assert heard(said).status is expected


@given(times, st.permutations(list(Rank)), st.permutations(["a", "b", "c"]))
def test_at_one_time_an_event_stands_above_our_change_and_that_above_a_read(
    at: Instant, arrival: list[Rank], ids: list[str]
) -> None:
    """Whatever their ids, and whichever came first."""
    said = {Rank.READ: Status.PENDING_AUTH, Rank.OUR_CHANGE: Status.UNLINKED, Rank.EVENT: Status.LINKED}
    for highest, *lower in ([Rank.OUR_CHANGE, Rank.READ], [Rank.EVENT, Rank.OUR_CHANGE], [Rank.EVENT, Rank.READ]):
        told = [
            Report(stamp(at, rank, identity), "company", "connection", SOURCE, at, said[rank])
            for rank, identity in zip(arrival, ids, strict=True)
            if rank in {highest, *lower}
        ]
        assert heard(told).status is said[highest]


@given(st.lists(reports(), min_size=1, max_size=8))
def test_the_error_is_the_newest_reason_since_the_last_link(said: list[Report]) -> None:
    """A reason holds until the customer links, or a newer reason comes; what was revoked without one says so."""
    reason = None
    for report in sorted(said, key=lambda report: report.stamp):
        if report.reason is not None or report.status is Status.LINKED:
            reason = None if report.status is Status.LINKED else report.reason
    state = heard(said)
    if state.status is Status.DEAUTHORIZED:
        reason = reason or revoked(state.source.platform_name)
    assert state.error == (None if state.status in {Status.LINKED, Status.DELETED} else reason)


@given(reports(), st.lists(times, min_size=1, max_size=3), st.data())
def test_the_first_initial_read_stands_whenever_it_is_heard(
    said: Report, reads: list[Instant], data: st.DataObject
) -> None:
    """Also where the connection was deleted in between."""
    state = unheard("company", "connection", "c-1", NOW)
    told: list[Report | Instant] = [said, *reads]
    for one in data.draw(st.permutations(told)):
        state = merge(state, one, NOW) if isinstance(one, Report) else read_initially(state, one, NOW)
    assert state.initial_read_at == min(reads)


@given(st.permutations(["qhyg", "", "", ""]))
def test_whoever_named_the_platform_is_believed(keys: list[str]) -> None:
    """Codat may leave the key out; without it the connection would not be found to be used again."""
    said = [
        Report(stamp(NOW, Rank.EVENT, str(place)), "company", "connection", Source(key, "", "Accounting"), NOW, None)
        for place, key in enumerate(keys)
    ]
    for told in (said, said[::-1]):
        assert heard(told).source.platform_key == "qhyg"


@given(st.lists(reports(), min_size=1, max_size=6))
def test_what_was_heard_before_changes_nothing(said: list[Report]) -> None:
    """Merging a known report gives back the very same state, so that nothing needs writing."""
    state = heard(said)
    for report in said:
        assert merge(state, report, NOW) is state
