"""Codat's webhook events, and what each says of a connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.domain.connections import Precedence, Source, Status, StatusUpdate, stamp
from shared.domain.errors import UnparseableEvent
from shared.domain.initial_reads import InitialRead
from shared.domain.timestamps import CLOCK_TOLERANCE, Timestamp, timestamp_of


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a type that changes nothing here; acknowledged and counted."""

    event_id: str
    event_type: str
    generated_at: Timestamp


@dataclass(frozen=True, slots=True)
class ConnectionEvent(Event):
    company_id: str
    connection_id: str
    source: Source
    created_at: Timestamp
    payload_status: Status
    error: str | None = field(repr=False)
    last_sync: Timestamp | None

    def update(self) -> StatusUpdate:
        return StatusUpdate(
            stamp=stamp(self.generated_at, Precedence.EVENT, self.event_id),
            company_id=self.company_id,
            connection_id=self.connection_id,
            source=self.source,
            created_at=self.created_at,
            status=self._status(),
            error=self.error,
            last_sync=self.last_sync,
        )

    def _status(self) -> Status | None:
        """The type decides: Codat's own example of `connection.deleted` still has the status `Linked`."""
        match self.event_type:
            case "connection.connected" | "connection.reconnected":
                return Status.LINKED
            case "connection.deleted":
                return Status.DELETED
            case "connection.failed":
                return None
            case "connection.disconnected" if self.payload_status is not Status.UNLINKED:
                return Status.DEAUTHORIZED
            case _:
                return self.payload_status


@dataclass(frozen=True, slots=True)
class InitialReadEvent(Event):
    """`read.completed.initial`: the data of these connections was read after an authorisation."""

    company_id: str
    reads: Mapping[str, InitialRead]
    """By connection id."""


@dataclass(frozen=True, slots=True)
class CompanyDeletedEvent(Event):
    company_id: str


CONNECTION_EVENT_TYPES = frozenset(
    f"connection.{change}" for change in ("created", "connected", "disconnected", "reconnected", "failed", "deleted")
)
COMPANY_DELETED = "company.deleted"
INITIAL_READ = "read.completed.initial"

EVENT_TYPES = CONNECTION_EVENT_TYPES | {COMPANY_DELETED, INITIAL_READ}
"""What the webhook consumer has to subscribe to: every type that changes something here."""


@dataclass(frozen=True, slots=True)
class QuarantinedWebhook:
    """An authentic webhook that could not be parsed when it came."""

    webhook_id: str
    body: bytes = field(repr=False)
    cause: str
    received_at: Timestamp


def refuse_future(generated_at: Timestamp, now: datetime) -> None:
    """Raise UnparseableEvent if the event is dated further ahead than clocks may differ."""
    if generated_at > timestamp_of(now.astimezone(UTC) + CLOCK_TOLERANCE):
        raise UnparseableEvent(f"generatedDate {generated_at} is more than 5 minutes ahead")
