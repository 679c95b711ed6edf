"""The exclusive right, for a while, to create one thing at Codat.

A lease is stored before Codat is asked. If its owner crashes, the next owner finds in it what it needs: the idempotency
key, what was sent under it and when, and the id that marks the creation at Codat.
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
    """All times are this process's clock."""

    subject: str
    """What is being created, in words for a caller."""
    creation_id: str
    """Marks what this creation makes at Codat. It survives takeovers and new idempotency keys."""
    idempotency_key: str
    """A random GUID. Codat replays its first answer to it for 90 minutes."""
    key_issued_at: datetime
    """Nothing was sent under the key before this."""
    is_settled: bool
    """True: no request under the key can still be running at Codat."""
    last_sent_at: datetime | None
    """Nothing was sent for this creation, under any key, after this. None: nothing was sent."""
    owner: str
    """Identifies the process that holds the lease: a fencing token for every later write."""
    lease_until: datetime
    """Past this the owner is certainly dead."""
    key: tuple[str, str]
    """The item's key in the table."""
    payload: Mapping[str, Any] = field(repr=False)
    """What was requested first. Codat rejects an idempotency key that is reused with another body."""

    def seconds_left(self, now: datetime) -> int:
        return seconds_until(self.lease_until, now)


def seconds_until(moment: datetime, now: datetime) -> int:
    """Return whole seconds, at least 1: a `Retry-After` of 0 would make callers loop."""
    return max(1, ceil((moment - now).total_seconds()))
