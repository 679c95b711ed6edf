"""The exclusive right, for a while, to create one thing at Codat.

A claim is written down before Codat is asked, so that a process that dies leaves behind what the next one needs:
the idempotency key that was, or may have been, sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any


@dataclass(frozen=True, slots=True)
class Terms:
    """What a claim is taken on: the moment, and two new random ids."""

    now: datetime
    lease: timedelta
    """Longer than the taker can live."""
    owner: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Claim:
    subject: str
    """What is being created, in words for a caller."""
    idempotency_key: str
    """A random GUID; Codat remembers its first answer to it for 90 minutes."""
    key_issued_at: datetime
    owner: str
    """Names the process that holds the lease; another one took over where the stored owner differs."""
    lease_until: datetime
    """Longer than the holder can live, on our clock: when it has passed, the holder is dead."""
    fresh: bool
    """True: nobody can have sent the key yet."""
    place: tuple[str, str]
    """Where the store keeps it."""
    payload: Mapping[str, Any] = field(repr=False)
    """What is to be created, as it was first asked for: a request repeated under its key must not differ."""

    def seconds_left(self, now: datetime) -> int:
        return seconds_until(self.lease_until, now)


def seconds_until(moment: datetime, now: datetime) -> int:
    """Whole seconds, at least 1: a `Retry-After` of 0 would be an invitation to hammer."""
    return max(1, ceil((moment - now).total_seconds()))
