"""Leases: the exclusive right, for a limited time, to create a company or connection at Codat, or to adopt a company.

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
    """Until the owner's invocation has ended, and a margin."""
    owner: str
    idempotency_key: str
    creation_id: str


@dataclass(frozen=True, slots=True)
class CreationLease:
    """A stored lease on one creation or adoption. All times are on our clock."""

    subject: str
    """The company or connection, in words for a caller."""
    creation_id: str
    """Marks the creation at Codat. Takeovers and new idempotency keys leave it unchanged."""
    idempotency_key: str
    """A random GUID. Codat replays its first response to it for a limited time."""
    key_issued_at: datetime
    """No request was sent under the idempotency key before this."""
    is_settled: bool
    """True if no request under the idempotency key can still be running at Codat, as far as the last owner knew."""
    last_sent_at: datetime | None
    """When a request that may have had an effect was last sent, under any idempotency key; None if there was none.
    While the lease is held, its owner may have sent later ones."""
    owner: str
    """Identifies this acquisition of the lease: a fencing token for all later writes."""
    lease_until: datetime
    """The lease ends then: its owner's invocation has ended, or has released it."""
    key: tuple[str, str]
    """The item's `pk` and `sk`."""
    payload: Mapping[str, Any] = field(repr=False)
    """The item's other attributes: the original request, and for an adoption the company as it was (`before`). Codat
    rejects an idempotency key that is reused with another body."""


def seconds_until(moment: datetime, now: datetime) -> int:
    """Return whole seconds, at least 1: a `Retry-After` of 0 would make callers loop."""
    return max(1, ceil((moment - now).total_seconds()))
