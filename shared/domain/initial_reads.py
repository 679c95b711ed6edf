"""When the data of a connection was first read, from what Codat sends in any order.

Codat sends `read.completed.initial` after each authorisation, once per product, with a status per data type. The event
can be lost; `lastSync`, which every later answer carries, then stands in for it. Which of them count depends on when
the connection was linked, and that can become known later. So the evidence is kept, and the answer derived from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from shared.domain.timestamps import Timestamp

_T = TypeVar("_T")

MAX_KEPT = 10
"""Of the reads and of the syncs: the earliest before and after the connection was severed, because the earliest one
decides, and the newest, because the webhook of a newer authorisation may be on its way.
"""


@dataclass(frozen=True, slots=True, order=True)
class InitialRead:
    """One `read.completed.initial` event, as far as it concerns one connection."""

    completed_at: Timestamp
    event_id: str
    complete: tuple[str, ...]
    """Data types."""
    failed: tuple[tuple[str, str], ...] = ()
    """Data type and status, for example ("invoices", "FetchError")."""


@dataclass(frozen=True, slots=True)
class ReadEvidence:
    """A grow-only set, so that neither order nor repetition of its parts matters."""

    reads: tuple[InitialRead, ...] = field(default=())
    syncs: tuple[Timestamp, ...] = field(default=())

    def with_read(self, read: InitialRead) -> "ReadEvidence":
        return replace(self, reads=tuple(sorted({*self.reads, read})))

    def with_sync(self, last_sync: Timestamp) -> "ReadEvidence":
        return replace(self, syncs=tuple(sorted({*self.syncs, last_sync})))

    def thinned(self, severed_at: Timestamp | None) -> "ReadEvidence":
        """Return at most so much evidence that the stored item stays small."""
        boundary = severed_at or Timestamp("")
        return ReadEvidence(
            _thinned(self.reads, lambda read: read.completed_at >= boundary),
            _thinned(self.syncs, lambda sync: sync >= boundary),
        )

    def since(self, linked_at: Timestamp) -> "ReadEvidence":
        """Return what can still count for a connection that was linked at `linked_at` or later."""
        return ReadEvidence(
            tuple(read for read in self.reads if read.completed_at >= linked_at),
            tuple(sync for sync in self.syncs if sync >= linked_at),
        )

    def initial_read_at(self, linked_at: Timestamp | None) -> Timestamp | None:
        """Return since when no data type has failed: from the first read after `linked_at`, or the one that cleared the
        last failure. Without a read, return the first sync: the event was lost.
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


def _thinned(ordered: tuple[_T, ...], is_after: Callable[[_T], bool]) -> tuple[_T, ...]:
    later = tuple(entry for entry in ordered if is_after(entry))
    kept = {*ordered[:MAX_KEPT], *later[:MAX_KEPT], *ordered[-MAX_KEPT:]}
    return tuple(entry for entry in ordered if entry in kept)


NO_EVIDENCE = ReadEvidence()
