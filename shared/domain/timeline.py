"""The history of a connection: every report that could change it, once."""

from dataclasses import dataclass, field

from shared.domain.connections import Connection, Report, Status, time_of
from shared.domain.events import InitialReadEvent
from shared.domain.instants import Instant

CALLER, WEBHOOK, RECONCILE = "caller", "webhook", "reconcile"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who or what brought a report: `caller` (with its identity), `webhook` (with its webhook-id), `reconcile`."""

    kind: str
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    company_id: str
    connection_id: str
    at: Instant
    """On Codat's clock."""
    event_id: str
    event_type: str
    actor: Actor
    previous_status: Status | None
    status: Status
    reason: str | None = field(repr=False)
    applied: bool
    """False: it came late, and the state was already newer."""


def entry(
    report: Report,
    *,
    event_type: str,
    actor: Actor,
    before: Connection | None,
    after: Connection,
) -> TimelineEntry:
    return TimelineEntry(
        company_id=report.company_id,
        connection_id=report.connection_id,
        at=time_of(report.stamp),
        event_id=report.identity,
        event_type=event_type,
        actor=actor,
        previous_status=before.status if before else None,
        status=after.status,
        reason=report.reason,
        applied=report.stamp in {after.heard_stamp, after.status_stamp, after.reason_stamp},
    )


def entry_of_initial_read(
    event: InitialReadEvent, actor: Actor, before: Connection | None, after: Connection
) -> TimelineEntry:
    return TimelineEntry(
        company_id=after.company_id,
        connection_id=after.connection_id,
        at=event.generated_at,
        event_id=event.event_id,
        event_type=event.event_type,
        actor=actor,
        previous_status=before.status if before else None,
        status=after.status,
        reason=None,
        applied=after.initial_read_at == event.generated_at,
    )
