"""The daily quota of requests and the headers that tell of it."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from threading import Lock

from codat_simulator.refusals import Refusal, too_many_requests


class Quota:
    """`limit` requests a day, counted anew from midnight UTC.

    None is Codat's own rule: 1,000 x (1 + companies with a linked connection).
    """

    def __init__(
        self,
        limit: int | None,
        *,
        now: Callable[[], datetime],
        active_companies: Callable[[], int],
        reached: Callable[[int, datetime], None],
    ) -> None:
        self.limit = limit
        self._now = now
        self._active_companies = active_companies
        self._reached = reached
        self._day = now().date()
        self._used = 0
        self._told = False
        self._lock = Lock()

    def take(self) -> Refusal | None:
        """One request; a Refusal (429) where none is left."""
        allowed = self._allowed()
        with self._lock:
            self._turn_day()
            if self._used < allowed:
                self._used += 1
                return None
            first, self._told = not self._told, True
        resets = self._resets()
        if first:
            self._reached(allowed, resets)
        return too_many_requests(max(1, int((resets - self._now()).total_seconds()) + 1))

    def headers(self) -> dict[str, str]:
        allowed = self._allowed()
        return {
            "X-Rate-Limit-Limit": str(allowed),
            "X-Rate-Limit-Remaining": str(max(0, allowed - self._used)),
            "X-Rate-Limit-Reset": str(int(self._resets().timestamp())),
        }

    def refill(self) -> None:
        with self._lock:
            self._used, self._told = 0, False

    def _allowed(self) -> int:
        return 1_000 * (1 + self._active_companies()) if self.limit is None else self.limit

    def _turn_day(self) -> None:
        today = self._now().date()
        if today != self._day:
            self._day, self._used, self._told = today, 0, False

    def _resets(self) -> datetime:
        now = self._now()
        return datetime.combine(now.date() + timedelta(days=1), time(), tzinfo=now.tzinfo)
