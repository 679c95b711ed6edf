"""What both parts of a reconcile work with."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

from shared.domain.errors import CodatCustomersError, PartialFailure, QuotaReserved
from shared.services.context import CodatContext

PAGE_SIZE = 100
"""Companies of one page at Codat."""

RESERVED_QUOTA = 0.2
"""The part of Codat's daily quota that is kept for the app's own calls."""

Counts = Counter[str]


@dataclass(frozen=True, slots=True)
class ReconcileContext(CodatContext):
    adopt_orphans: bool
    abandoned_after: timedelta

    def require_quota(self) -> None:
        """Raise QuotaReserved if little is left of Codat's quota; the queue brings the message back later."""
        quota = self.codat.quota
        if quota is not None and quota.remaining < quota.limit * RESERVED_QUOTA:
            raise QuotaReserved(quota.remaining)


class ErrorCollector:
    """Collects the errors of single customers and connections, so that one hides no other of its batch."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._errors: list[CodatCustomersError] = []

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, CodatCustomersError):
            return False
        self.add(error)
        return True

    def add(self, error: CodatCustomersError) -> None:
        self._errors.append(error)

    def raise_errors(self) -> None:
        """Raise PartialFailure if there were any."""
        if self._errors:
            raise PartialFailure(len(self._errors), str(self._errors[0]), self._counts)
