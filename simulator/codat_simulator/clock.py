"""Codat's clock, and the forms in which Codat writes its times."""

from datetime import UTC, datetime, timedelta
from threading import Lock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICKS_PER_SECOND = 10_000_000


class Clock:
    """Real time plus an offset, so that a test can let 90 minutes pass at once."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def advance(self, delta: timedelta) -> None:
        self._offset += delta

    def reset(self) -> None:
        self._offset = timedelta()


def in_seconds(moment: datetime) -> str:
    """As Codat writes a connection's `created`: `2022-10-27T09:53:29Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def in_ticks(moment: datetime) -> str:
    """As .NET writes it, seven digits of a second: `2022-10-27T10:22:43.6464230Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0Z"


class EventDates:
    """The `generatedDate` of events: in turn with seven and with three digits, as Codat's are.

    Each is above the one before *as written*: rounded to milliseconds, two changes in the same
    millisecond would otherwise claim the reverse of the order in which they happened.
    """

    def __init__(self) -> None:
        self._last = 0
        self._short = True
        self._lock = Lock()

    def next(self, now: datetime) -> str:
        with self._lock:
            self._short = not self._short
            step = 10_000 if self._short else 1
            since = now - _EPOCH
            ticks = (since.days * 86_400 + since.seconds) * _TICKS_PER_SECOND + since.microseconds * 10
            ticks = -(-max(ticks, self._last + 1) // step) * step
            self._last = ticks
            seconds, fraction = divmod(ticks, _TICKS_PER_SECOND)
            digits = f"{fraction // 10_000:03d}" if self._short else f"{fraction:07d}"
            return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{digits}Z"
