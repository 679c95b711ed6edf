"""Writing down what Codat says of a connection."""

from collections.abc import Callable
from dataclasses import replace

from shared.domain.claims import Claim
from shared.domain.connections import (
    Connection,
    Observed,
    Rank,
    Report,
    Status,
    abandoned,
    merge,
    read_initially,
    stamp_of_answer,
    unheard,
)
from shared.domain.errors import StoreUnavailable
from shared.domain.events import InitialReadEvent
from shared.domain.instants import Instant, instant_of
from shared.domain.timeline import TimelineEntry, entry, entry_of_initial_read
from shared.services.ports import Call, Connections

_MOST_CONFLICTS = 25
"""Each lost round is another writer's success, so this many in one call means that something is wrong."""


def hear(
    report: Report,
    *,
    customer_id: str,
    happening: str,
    call: Call,
    connections: Connections,
    known: Connection | None,
    ended: Claim | None = None,
) -> Connection:
    """The connection after `report`, stored together with its timeline entry, both or neither.

    `known` is what the store said last; `happening` names the entry (an event's type, or what we did); `ended` is the
    claim that this report fulfils. A report that changes nothing still has its place in the timeline, unless it is
    a read, which happens too often to be history. Raises CompanyGone where the company has ended.
    """

    def told(before: Connection | None, after: Connection) -> TimelineEntry | None:
        silent = report.is_read and before is not None and after.status is before.status
        if silent or after.buried:
            return None
        return entry(report, event_type=happening, actor=call.actor, before=before, after=after)

    return _amend(
        report.company_id,
        report.connection_id,
        lambda known, now: merge(known, report, now),
        told,
        customer_id=customer_id,
        call=call,
        connections=connections,
        known=known,
        ended=ended,
    )


def hear_read(observed: Observed, known: Connection, *, call: Call, connections: Connections) -> Connection:
    """The connection after a read of it."""
    report = observed.report(known.company_id, stamp_of_answer(observed.at, Rank.READ, known, call.new_id()))
    return hear(
        report, customer_id=known.customer_id, happening="read", call=call, connections=connections, known=known
    )


def hear_deleted(
    known: Connection, at: Instant, rank: Rank, happening: str, *, call: Call, connections: Connections
) -> Connection:
    report = Report(
        stamp=stamp_of_answer(at, rank, known, call.new_id()),
        company_id=known.company_id,
        connection_id=known.connection_id,
        source=known.source,
        created_at=known.created_at,
        status=Status.DELETED,
    )
    return hear(
        report, customer_id=known.customer_id, happening=happening, call=call, connections=connections, known=known
    )


def hear_initial_read(
    event: InitialReadEvent, connection_id: str, customer_id: str, *, call: Call, connections: Connections
) -> Connection:
    """The connection after its initial read was reported; kept unheard where the report comes before all others."""
    company_id = event.company_id

    def told(before: Connection | None, after: Connection) -> TimelineEntry | None:
        return None if after.buried else entry_of_initial_read(event, call.actor, before, after)

    return _amend(
        company_id,
        connection_id,
        lambda known, now: read_initially(known, event.generated_at, now),
        told,
        customer_id=customer_id,
        call=call,
        connections=connections,
        known=connections.find(company_id, connection_id),
    )


def hear_abandoned(known: Connection, *, call: Call, connections: Connections) -> Connection:
    """The connection, noted as abandoned, so that it is reported once."""
    return _amend(
        known.company_id,
        known.connection_id,
        abandoned,
        lambda _before, _after: None,
        customer_id=known.customer_id,
        call=call,
        connections=connections,
        known=known,
    )


def _amend(
    company_id: str,
    connection_id: str,
    change: Callable[[Connection, Instant], Connection],
    told: Callable[[Connection | None, Connection], TimelineEntry | None],
    *,
    customer_id: str,
    call: Call,
    connections: Connections,
    known: Connection | None,
    ended: Claim | None = None,
) -> Connection:
    """Reads, changes and writes until nobody else has written in between."""
    for _ in range(_MOST_CONFLICTS):
        now = instant_of(call.now())
        before = known or unheard(company_id, connection_id, customer_id, now)
        if not before.buried:
            # Two customers may have been after one company: its connections are whose it is now.
            before = replace(before, customer_id=customer_id)
        after = change(before, now)
        said = told(known if known is not None and known.is_heard else None, after)
        if after is before:
            if said is not None:
                connections.note(said)
            if ended is None:
                return after
        stored = connections.save(after, None if after is before else said, ended)
        if stored is not None:
            return stored
        known = connections.find(company_id, connection_id)
    raise StoreUnavailable("Too many writers at one connection.")
