"""The time of a connection's first read, from reports in any order.

Codat sends `read.completed.initial` after each authorisation, once per product, with a status per data type. If that
event is lost, the first `lastSync` of a later response replaces it. Which reports count depends on the time of linking,
which may arrive later. So the evidence is stored, and the result is derived from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from shared.domain.timestamps import Timestamp

_T = TypeVar("_T")

MAX_KEPT = 10
"""Of each: the earliest before and after a severance, which decide, and the newest, whose webhook may be late."""


@dataclass(frozen=True, slots=True, order=True)
class InitialRead:
    """A `read.completed.initial` event's part about one connection."""

    completed_at: Timestamp
    event_id: str
    complete: tuple[str, ...]
    """Data types."""
    failed: tuple[tuple[str, str], ...] = ()
    """Data types with their statuses, for example ("invoices", "FetchError")."""


@dataclass(frozen=True, slots=True)
class ReadEvidence:
    """A grow-only set, sorted: order and repetition of its parts make no difference."""

    reads: tuple[InitialRead, ...] = ()
    syncs: tuple[Timestamp, ...] = ()

    def thinned(self, severed_at: Timestamp | None) -> "ReadEvidence":
        """Limit the evidence, so that the stored item stays small."""
        later = self.since(severed_at)
        return ReadEvidence(_thinned(self.reads, later.reads), _thinned(self.syncs, later.syncs))

    def since(self, moment: Timestamp | None) -> "ReadEvidence":
        """Return the evidence from `moment` on; all of it if that is None."""
        start = moment or ""
        return ReadEvidence(
            tuple(read for read in self.reads if read.completed_at >= start),
            tuple(sync for sync in self.syncs if sync >= start),
        )

    def initial_read_at(self, linked_at: Timestamp | None) -> Timestamp | None:
        """Return the time of the first read after `linked_at`, or of the read that cleared the last failure.

        Without a read, return the first sync: the event was lost.
        """
        if linked_at is None:
            return None
        evidence = self.since(linked_at)
        if not evidence.reads:
            return min(evidence.syncs, default=None)
        complete_since: Timestamp | None = None
        for number, read in enumerate(evidence.reads, start=1):
            complete_since = None if _failing(evidence.reads[:number]) else complete_since or read.completed_at
        return complete_since

    def issues(self, linked_at: Timestamp | None) -> tuple[tuple[str, str], ...]:
        """Return the data types whose newest initial read failed, with its status."""
        return () if linked_at is None else tuple(sorted(_failing(self.since(linked_at).reads).items()))


def _failing(reads: Sequence[InitialRead]) -> dict[str, str]:
    """Return each data type whose last read failed, with its status; `reads` are in order."""
    newest: dict[str, str | None] = {}
    for read in reads:
        newest |= dict.fromkeys(read.complete) | dict(read.failed)
    return {data_type: status for data_type, status in newest.items() if status is not None}


def _thinned(ordered: tuple[_T, ...], later: tuple[_T, ...]) -> tuple[_T, ...]:
    kept = {*ordered[:MAX_KEPT], *later[:MAX_KEPT], *ordered[-MAX_KEPT:]}
    return tuple(entry for entry in ordered if entry in kept)


NO_EVIDENCE = ReadEvidence()
