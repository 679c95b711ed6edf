"""Codat's clock and its formats for times."""

from datetime import UTC, datetime, timedelta
from threading import Lock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICKS_PER_SECOND = 10_000_000


class Clock:
    """Real time plus an offset, so that a test can skip 90 minutes."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def advance(self, delta: timedelta) -> None:
        self._offset += delta

    def reset(self) -> None:
        self._offset = timedelta()


def in_seconds(at: datetime) -> str:
    """Return the format of a connection's `created`: `2022-10-27T09:53:29Z`."""
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"


def in_ticks(at: datetime) -> str:
    """Return the format of .NET, with seven fractional digits: `2022-10-27T10:22:43.6464230Z`."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z"


class EventDates:
    """Generate the `generatedDate` of events, alternating seven and three fractional digits as Codat does.

    Each text is later than the previous text. Rounding could otherwise reverse two changes within a millisecond.
    """

    def __init__(self) -> None:
        self._last = 0
        self._short = True
        self._lock = Lock()

    def next(self, now: datetime) -> str:
        with self._lock:
            self._short = not self._short
            step = 10_000 if self._short else 1
            elapsed = now - _EPOCH
            ticks = (elapsed.days * 86_400 + elapsed.seconds) * _TICKS_PER_SECOND + elapsed.microseconds * 10
            ticks = -(-max(ticks, self._last + 1) // step) * step
            self._last = ticks
            seconds, fraction = divmod(ticks, _TICKS_PER_SECOND)
            digits = f"{fraction // 10_000:03d}" if self._short else f"{fraction:07d}"
            return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{digits}Z"
