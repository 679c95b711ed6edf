"""The daily quota of requests and its headers."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from threading import Lock

from codat_simulator.errors import ApiError, error_for_status


class Quota:
    """`limit` requests a day, from midnight UTC.

    None applies Codat's rule: 1,000 x (1 + companies with a linked connection).
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        active_companies: Callable[[], int],
        on_reached: Callable[[int, datetime], None],
    ) -> None:
        self.limit: int | None = None
        self._now = now
        self._active_companies = active_companies
        self._on_reached = on_reached
        self._day = now().date()
        self._used = 0
        self._is_reported = False
        self._lock = Lock()

    def take(self) -> ApiError | None:
        """Count a request. Return an error (429) if the quota is exceeded."""
        allowed = self._allowed()
        today = self._now().date()
        with self._lock:
            if today != self._day:
                self._day, self._used, self._is_reported = today, 0, False
            if self._used < allowed:
                self._used += 1
                return None
            is_first, self._is_reported = not self._is_reported, True
        reset_at = self._reset_at()
        if is_first:
            self._on_reached(allowed, reset_at)
        return error_for_status(429, max(1, int((reset_at - self._now()).total_seconds()) + 1))

    def headers(self) -> dict[str, str]:
        allowed = self._allowed()
        return {
            "X-Rate-Limit-Limit": str(allowed),
            "X-Rate-Limit-Remaining": str(max(0, allowed - self._used)),
            "X-Rate-Limit-Reset": str(int(self._reset_at().timestamp())),
        }

    def refill(self) -> None:
        with self._lock:
            self._used, self._is_reported = 0, False

    def _allowed(self) -> int:
        return 1_000 * (1 + self._active_companies()) if self.limit is None else self.limit

    def _reset_at(self) -> datetime:
        now = self._now()
        return datetime.combine(now.date() + timedelta(days=1), time(), tzinfo=now.tzinfo)
