"""Codat's webhook events, and what each says of a connection."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.domain.connections import Rank, Report, Source, Status, stamp
from shared.domain.errors import Unreadable
from shared.domain.instants import CLOCK_TOLERANCE, Instant, instant_of


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a type that changes nothing here; acknowledged and counted."""

    event_id: str
    event_type: str
    generated_at: Instant


@dataclass(frozen=True, slots=True)
class ConnectionEvent(Event):
    company_id: str
    uid: str | None
    """The company's tag that holds our customer id; None where the event carries none."""
    connection_id: str
    source: Source
    created_at: Instant
    payload_status: Status
    reason: str | None = field(repr=False)
    last_sync: Instant | None

    def report(self) -> Report:
        return Report(
            stamp=stamp(self.generated_at, Rank.EVENT, self.event_id),
            company_id=self.company_id,
            connection_id=self.connection_id,
            source=self.source,
            created_at=self.created_at,
            status=self._status(),
            reason=self.reason,
            last_sync=self.last_sync,
        )

    def _status(self) -> Status | None:
        """The type decides; Codat's own example of `connection.deleted` still says `Linked` in its payload."""
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
    """`read.completed.initial`: the first read of these connections' data is complete."""

    company_id: str
    uid: str | None
    connection_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompanyDeletedEvent(Event):
    company_id: str
    uid: str | None


CONNECTION_EVENT_TYPES = frozenset(
    f"connection.{change}" for change in ("created", "connected", "disconnected", "reconnected", "failed", "deleted")
)
COMPANY_DELETED = "company.deleted"
INITIAL_READ = "read.completed.initial"

EVENT_TYPES = CONNECTION_EVENT_TYPES | {COMPANY_DELETED, INITIAL_READ}
"""What the webhook consumer has to subscribe to: every type that changes something here."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that proved authentic: the message's id, the same on every retry, and its event."""

    webhook_id: str
    event: Event


@dataclass(frozen=True, slots=True)
class KeptWebhook:
    """An authentic webhook that was not understood when it came."""

    webhook_id: str
    body: bytes = field(repr=False)
    why: str
    received_at: Instant


def refuse_future(generated_at: Instant, now: datetime) -> None:
    """Raises Unreadable where the event claims to come from further ahead than clocks may differ."""
    if generated_at > instant_of(now.astimezone(UTC) + CLOCK_TOLERANCE):
        raise Unreadable(f"generatedDate {generated_at} lies more than 5 minutes ahead")
