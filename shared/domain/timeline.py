"""The history of a connection: every update that could change it, once."""

from dataclasses import dataclass, field

from shared.domain.connections import Connection, Status, StatusUpdate, time_of
from shared.domain.initial_reads import InitialRead
from shared.domain.timestamps import Timestamp

CALLER, WEBHOOK, RECONCILE = "caller", "webhook", "reconcile"


@dataclass(frozen=True, slots=True)
class Actor:
    """Where an update came from: `caller` (with its ARN), `webhook` (with its webhook-id) or `reconcile`."""

    kind: str
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    company_id: str
    connection_id: str
    at: Timestamp
    """On Codat's clock."""
    event_id: str
    event_type: str
    actor: Actor
    previous_status: Status | None
    status: Status
    error: str | None = field(repr=False)
    applied: bool
    """False: it came late, and the state was newer already."""


def entry_for_update(
    update: StatusUpdate, event_type: str, actor: Actor, before: Connection | None, after: Connection
) -> TimelineEntry:
    return TimelineEntry(
        company_id=update.company_id,
        connection_id=update.connection_id,
        at=time_of(update.stamp),
        event_id=update.event_id,
        event_type=event_type,
        actor=actor,
        previous_status=before.status if before else None,
        status=after.status,
        error=update.error,
        applied=update.stamp in {after.last_update_stamp, after.status_stamp, after.error_stamp},
    )


def entry_for_initial_read(
    read: InitialRead, event_type: str, actor: Actor, before: Connection | None, after: Connection
) -> TimelineEntry:
    return TimelineEntry(
        company_id=after.company_id,
        connection_id=after.connection_id,
        at=read.completed_at,
        event_id=read.event_id,
        event_type=event_type,
        actor=actor,
        previous_status=before.status if before else None,
        status=after.status,
        error=None,
        applied=read in after.evidence.reads and after.initial_read_at in {None, read.completed_at},
    )
