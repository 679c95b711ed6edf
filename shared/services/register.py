"""Writing down what Codat says of a connection."""

from shared.domain.claims import Claim
from shared.domain.connections import Connection, Observed, Rank, Report, Status, first_heard, merge, stamp_of_answer
from shared.domain.errors import StoreUnavailable
from shared.domain.instants import instant_of
from shared.domain.timeline import entry
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
    a read, which happens too often to be history.
    """
    for _ in range(_MOST_CONFLICTS):
        now = instant_of(call.now())
        after = first_heard(report, customer_id, now) if known is None else merge(known, report, now)
        told = entry(
            report, event_id=_identity(report), event_type=happening, actor=call.actor, before=known, after=after
        )
        if after is known:
            if not _is_read(report):
                connections.note(told)
            if ended is None:
                return after
        silent = _is_read(report) and known is not None and after.status is known.status
        stored = connections.save(after, None if silent or after is known else told, ended)
        if stored is not None:
            return stored
        known = connections.find(report.company_id, report.connection_id)
    raise StoreUnavailable("Too many writers at one connection.")


def hear_read(observed: Observed, known: Connection, *, call: Call, connections: Connections) -> Connection:
    """The connection after a read of it."""
    report = observed.report(known.company_id, stamp_of_answer(observed.at, Rank.READ, known, call.new_id()))
    return hear(
        report, customer_id=known.customer_id, happening="read", call=call, connections=connections, known=known
    )


def hear_gone(known: Connection, *, call: Call, connections: Connections) -> Connection:
    """The connection after Codat has answered 404 for it: deleted. Codat doesn't say when, so it is now."""
    report = Report(
        stamp=stamp_of_answer(instant_of(call.now()), Rank.READ, known, call.new_id()),
        company_id=known.company_id,
        connection_id=known.connection_id,
        source=known.source,
        created_at=known.created_at,
        status=Status.DELETED,
    )
    return hear(
        report, customer_id=known.customer_id, happening="read", call=call, connections=connections, known=known
    )


def _identity(report: Report) -> str:
    return report.stamp.rpartition("#")[2]


def _is_read(report: Report) -> bool:
    return f"#{int(Rank.READ)}#" in report.stamp
