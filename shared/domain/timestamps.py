"""Codat's times as text that sorts: in UTC, of fixed width, `YYYY-MM-DDTHH:MM:SS.fffffffZ`.

Codat writes times in many forms: `…:34.015Z`, `…:43.6464237Z`, `…:29Z`, without a zone (UTC), or with an offset.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import NewType

Timestamp = NewType("Timestamp", str)

_FORM = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<time>\d{2}:\d{2}:\d{2})(?:\.(?P<fraction>\d+))?\s*(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_TICKS_PER_SECOND = 10**7

CLOCK_TOLERANCE = timedelta(minutes=5)
"""A time from Codat that is further ahead of our clock is rejected: it would outrank all later updates."""


def timestamp(text: str) -> Timestamp:
    """Parse a time; digits after the seventh are dropped. Raises ValueError, also outside the years 1 to 9999."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError("not an ISO 8601 time")
    zone = (form["zone"] or "Z").upper().replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{form['date']}T{form['time'] or '00:00:00'}{zone}").astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time out of range") from error
    return _format(moment, int((form["fraction"] or "0")[:7].ljust(7, "0")))


def timestamp_of(moment: datetime) -> Timestamp:
    return _format(moment.astimezone(UTC), moment.microsecond * 10)


def datetime_of(when: Timestamp) -> datetime:
    """Convert to an aware datetime, without the seventh digit: a datetime holds microseconds."""
    return datetime.fromisoformat(f"{when[:26]}+00:00")


def just_after(when: Timestamp) -> Timestamp:
    """Return the next timestamp, 100 nanoseconds later."""
    ticks = int(when[20:27]) + 1
    carried = datetime_of(when).replace(microsecond=0) + timedelta(seconds=ticks // _TICKS_PER_SECOND)
    return _format(carried, ticks % _TICKS_PER_SECOND)


def _format(moment: datetime, ticks: int) -> Timestamp:
    return Timestamp(f"{moment:%Y-%m-%dT%H:%M:%S}.{ticks:07d}Z".rjust(28, "0"))
