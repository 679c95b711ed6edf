"""The context and the results of both parts of a reconcile."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from shared.domain.errors import CodatCustomersError, NotReconciled
from shared.services.context import CodatContext

RESERVED_QUOTA = 0.2
"""Part of Codat's daily quota that is reserved for the app's own calls."""


@dataclass(frozen=True, slots=True)
class ReconcileContext(CodatContext):
    adopt_orphans: bool
    abandoned_after: timedelta

    def require_quota(self) -> None:
        """Raise NotReconciled if only the reserved part of the quota is left; the queue then retries the message."""
        quota = self.codat.quota
        if quota is not None and quota.remaining < quota.limit * RESERVED_QUOTA:
            raise NotReconciled(f"Codat's last {quota.remaining} requests of the day are kept for the app's calls.")


@dataclass(frozen=True, slots=True)
class Results:
    """The counts of a message, and the errors of its customers and connections."""

    counts: Counter[str] = field(default_factory=Counter)
    errors: list[CodatCustomersError] = field(default_factory=list)

    @contextmanager
    def collect_error(self) -> Iterator[None]:
        """Keep an error, so that the rest of the batch is still compared."""
        try:
            yield
        except CodatCustomersError as error:
            self.errors.append(error)
