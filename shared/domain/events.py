"""Codat's webhook events."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.connections import Status, StatusUpdate
from shared.domain.initial_reads import InitialRead
from shared.domain.timestamps import Timestamp

CONNECTION_EVENT_TYPES = frozenset(
    f"connection.{change}" for change in ("created", "connected", "disconnected", "reconnected", "failed", "deleted")
)
COMPANY_DELETED = "company.deleted"
INITIAL_READ = "read.completed.initial"
EVENT_TYPES = CONNECTION_EVENT_TYPES | {COMPANY_DELETED, INITIAL_READ}
"""The types that we handle, and that the webhook consumer must subscribe to."""


@dataclass(frozen=True, slots=True)
class Event:
    """Any other event is acknowledged, counted and dropped."""

    event_id: str
    event_type: str
    generated_at: Timestamp


@dataclass(frozen=True, slots=True)
class ConnectionEvent(Event):
    update: StatusUpdate


def status_after(event_type: str, reported: Status | None) -> Status | None:
    """Return the status that the type implies: Codat's example of `connection.deleted` has the status `Linked`."""
    match event_type:
        case "connection.connected" | "connection.reconnected":
            return Status.LINKED
        case "connection.deleted":
            return Status.DELETED
        case "connection.failed":
            return None
        case "connection.disconnected" if reported is not Status.UNLINKED:
            return Status.DEAUTHORIZED
        case _:
            return reported


@dataclass(frozen=True, slots=True)
class InitialReadEvent(Event):
    """`read.completed.initial`: Codat has read the data of these connections after an authorisation."""

    company_id: str
    reads: Mapping[str, InitialRead]
    """By connection id."""


@dataclass(frozen=True, slots=True)
class CompanyDeletedEvent(Event):
    company_id: str
