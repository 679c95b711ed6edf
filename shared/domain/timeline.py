"""The history of a connection: an entry for each event, each change by a caller, and each read of a new status."""

from dataclasses import dataclass, field

from shared.domain.connections import Connection, Precedence, Status, StatusUpdate, time_of
from shared.domain.initial_reads import InitialRead
from shared.domain.timestamps import Timestamp

CALLER, INVITATION, WEBHOOK, RECONCILE = "caller", "invitation", "webhook", "reconcile"


@dataclass(frozen=True, slots=True)
class Actor:
    """The origin of an update: `caller` (with its ARN), `invitation` and `webhook` (with their ids), or `reconcile`."""

    kind: str
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    company_id: str
    connection_id: str
    at: Timestamp
    """On Codat's clock; on ours if a 404 revealed a deletion."""
    event_id: str
    event_type: str
    actor: Actor
    previous_status: Status | None
    status: Status
    error: str | None = field(repr=False)
    applied: bool
    """True if the update is the newest of all, of those with a status, or of those with an error.
    For an initial read: True if it decides `initial_read_at`, or a data type failed."""


def timeline_entry(
    cause: StatusUpdate | InitialRead, event_type: str, actor: Actor, before: Connection | None, after: Connection
) -> TimelineEntry | None:
    """Return the entry for `cause`; None for a read of a known connection that does not change the status.

    `before` is the connection as callers saw it: None for a placeholder.
    """
    if isinstance(cause, StatusUpdate):
        if cause.precedence is Precedence.READ and before is not None and after.status is before.status:
            return None
        at, error = time_of(cause.stamp), cause.error
        applied = cause.stamp in {after.last_update_stamp, after.status_stamp, after.error_stamp}
    else:
        at, error = cause.completed_at, None
        applied = cause in after.evidence.reads and after.initial_read_at in {None, at}
    return TimelineEntry(
        company_id=after.company_id,
        connection_id=after.connection_id,
        at=at,
        event_id=cause.event_id,
        event_type=event_type,
        actor=actor,
        previous_status=before.status if before else None,
        status=after.status,
        error=error,
        applied=applied,
    )
