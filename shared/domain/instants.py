"""Codat's times as text that sorts.

Codat writes one instant in many forms: `…:34.015Z`, `…:43.6464237Z`, `…:29Z`, without a zone (then it is UTC),
with an offset. Compared as text those sort wrongly, so every time is kept in one form of fixed width:
`YYYY-MM-DDTHH:MM:SS.fffffffZ`, in UTC, with the seven digits of Codat's own clock.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import NewType

Instant = NewType("Instant", str)

_FORM = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<time>\d{2}:\d{2}:\d{2})(?:\.(?P<fraction>\d+))?\s*(?P<zone>[Zz]|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_TICKS_PER_SECOND = 10**7

CLOCK_TOLERANCE = timedelta(minutes=5)
"""Further ahead of our clock than this, no time of Codat's is believed: it would outrank everything that follows it."""


def instant(text: str) -> Instant:
    """The instant that `text` names; a time without a zone is UTC, digits after the seventh are dropped.

    Raises ValueError where the text is no time, or one outside the years 1 to 9999.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError("not an ISO 8601 time")
    zone = (form["zone"] or "Z").upper().replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{form['date']}T{form['time'] or '00:00:00'}{zone}").astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time out of range") from error
    return _write(moment, int((form["fraction"] or "0")[:7].ljust(7, "0")))


def instant_of(moment: datetime) -> Instant:
    """An aware datetime as an instant."""
    return _write(moment.astimezone(UTC), moment.microsecond * 10)


def datetime_of(when: Instant) -> datetime:
    """An instant as an aware datetime, less its last digit (a datetime holds microseconds)."""
    return datetime.fromisoformat(f"{when[:26]}+00:00")


def just_after(when: Instant) -> Instant:
    """The next instant that can be told from `when`: 100 nanoseconds later."""
    ticks = int(when[20:27]) + 1
    carried = datetime_of(when).replace(microsecond=0) + timedelta(seconds=ticks // _TICKS_PER_SECOND)
    return _write(carried, ticks % _TICKS_PER_SECOND)


def _write(moment: datetime, ticks: int) -> Instant:
    return Instant(f"{moment:%Y-%m-%dT%H:%M:%S}.{ticks:07d}Z".rjust(28, "0"))
