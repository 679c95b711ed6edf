"""Leases: the exclusive right, for a limited time, to create an object at Codat.

A lease is stored before the request is sent, so that the next owner can continue after a crash.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Inputs of a lease: current time, duration, owner, and new random ids."""

    now: datetime
    duration: timedelta
    """Longer than the owner can live."""
    owner: str
    idempotency_key: str
    creation_id: str


@dataclass(frozen=True, slots=True)
class CreationLease:
    """All times are on our clock."""

    subject: str
    """The object that is created, in words for a caller."""
    creation_id: str
    """Marks the creation at Codat. Takeovers and new idempotency keys leave it unchanged."""
    idempotency_key: str
    """A random GUID. Codat replays its first response to it for 90 minutes."""
    key_issued_at: datetime
    """No request was sent under the key before this."""
    is_settled: bool
    """True if no request under the key can still be running at Codat."""
    last_sent_at: datetime | None
    """No request was sent for this creation, under any key, after this. None if no request was sent at all."""
    owner: str
    """Identifies the process that holds the lease: a fencing token for all later writes."""
    lease_until: datetime
    """After this, the owner is certainly no longer running."""
    key: tuple[str, str]
    payload: Mapping[str, Any] = field(repr=False)
    """The original request. Codat rejects an idempotency key that is reused with another body."""


def seconds_until(moment: datetime, now: datetime) -> int:
    """Return whole seconds, at least 1: a `Retry-After` of 0 would make callers loop."""
    return max(1, ceil((moment - now).total_seconds()))
