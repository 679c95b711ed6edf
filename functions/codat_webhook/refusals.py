"""Count rejected webhooks in this process, so that a flood of them causes few log lines and metrics."""

from collections import Counter
from datetime import datetime, timedelta
from functools import cache
from threading import Lock

REPORT_INTERVAL = timedelta(minutes=1)


class RefusalCounter:
    """Counts rejected webhooks by reason, and decides how many to report: at most once a minute for each reason.

    The first is reported at once, so that a single rejected webhook is visible. Those of the minute after a report are
    part of the next report. If Lambda ends the process before that, they are not reported. That is acceptable, because
    nothing was stored for them, their reason has been reported, and Codat resends its own webhooks for over a day.
    """

    def __init__(self) -> None:
        self._reported_at: dict[str, datetime] = {}
        self._unreported: Counter[str] = Counter()
        # Requests of the local stack are concurrent.
        self._lock = Lock()

    def add(self, reason: str, now: datetime) -> int:
        """Count a webhook and return the number to report now; 0 within a minute of the reason's last report."""
        with self._lock:
            self._unreported[reason] += 1
            last = self._reported_at.get(reason)
            if last is not None and now < last + REPORT_INTERVAL:
                return 0
            self._reported_at[reason] = now
            return self._unreported.pop(reason)


@cache
def refusals() -> RefusalCounter:
    """Return the counter of this process."""
    return RefusalCounter()
