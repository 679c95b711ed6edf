"""What both walks of a reconcile work with."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType

from shared.domain.errors import CodatCustomersError, PartlyReconciled, QuotaReserved
from shared.services.ports import Call, Claims, Codat, Connections, Customers

PAGE_SIZE = 100
"""Of Codat's companies."""

QUOTA_KEPT_FOR_CALLERS = 0.2
"""Of Codat's daily quota; below it the walk waits, so that the app's own calls always find some."""

Found = Counter[str]


@dataclass(frozen=True, slots=True)
class Rules:
    adopt_strays: bool
    abandoned_after: timedelta


@dataclass(frozen=True, slots=True)
class World:
    """The ports of a walk, which needs nearly all of them."""

    call: Call
    customers: Customers
    connections: Connections
    claims: Claims
    codat: Codat
    rules: Rules


class OneByOne:
    """What fails for one customer doesn't keep the others of its batch from being healed."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._failures: list[CodatCustomersError] = []

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, CodatCustomersError):
            return False
        self._failures.append(error)
        return True

    def raise_failures(self) -> None:
        if self._failures:
            raise PartlyReconciled(len(self._failures), str(self._failures[0]), self._found)


def keep_quota(world: World) -> None:
    """Stops where little is left of Codat's quota; the queue brings the message back later."""
    quota = world.codat.quota
    if quota is not None and quota.remaining < quota.limit * QUOTA_KEPT_FOR_CALLERS:
        raise QuotaReserved(quota.remaining)
