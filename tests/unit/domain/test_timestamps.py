"""Codat's times in one form that sorts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from shared.domain.timestamps import datetime_of, just_after, milliseconds_of, timestamp, timestamp_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-08-08T17:10:34.015Z", "2024-08-08T17:10:34.0150000Z"),
        ("2022-10-27T10:22:43.6464237Z", "2022-10-27T10:22:43.6464237Z"),
        ("2022-10-27T09:53:29Z", "2022-10-27T09:53:29.0000000Z"),
        ("2021-01-01T00:00:00", "2021-01-01T00:00:00.0000000Z"),
        ("2021-11-15T01:00:00-05:00", "2021-11-15T06:00:00.0000000Z"),
        ("2021-11-15T01:00:00.5+0100", "2021-11-15T00:00:00.5000000Z"),
        ("2022-10-23", "2022-10-23T00:00:00.0000000Z"),
        ("2022-10-23T00:00:00.123456789Z", "2022-10-23T00:00:00.1234567Z"),
    ],
)
def test_every_form_of_codat_becomes_one(text: str, expected: str) -> None:
    """One width, UTC, seven digits."""
    assert timestamp(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-13-01T00:00:00Z",
        "2024-09-01T23:59:99Z",
        "1693526400",
        "0001-01-01T00:00:00+23:59",
        "\uff12\uff10\uff12\uff14-01-01",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """ValueError, so that a model can say which field."""
    with pytest.raises(ValueError, match=r"time|isoformat|hour|second|month"):
        timestamp(text)


moments = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments, moments)
def test_text_sorts_as_time_does(one: datetime, other: datetime) -> None:
    """Comparing timestamps as text is comparing moments."""
    assert (timestamp_of(one) < timestamp_of(other)) == (one < other)


@given(moments)
def test_a_moment_survives(moment: datetime) -> None:
    """Through text and back."""
    assert datetime_of(timestamp_of(moment)) == moment
    assert timestamp(timestamp_of(moment)) == timestamp_of(moment)
    assert timestamp_of(moment) < just_after(timestamp_of(moment)) < timestamp_of(moment + timedelta(microseconds=1))


def test_milliseconds_since_1970() -> None:
    """Whole ones: what is below is dropped."""
    assert milliseconds_of(timestamp("1970-01-01T00:00:01.2349999Z")) == 1_234


def test_the_last_tick_of_a_second_is_followed_by_the_next() -> None:
    """The carry goes all the way."""
    assert just_after(timestamp("2024-12-31T23:59:59.9999999Z")) == "2025-01-01T00:00:00.0000000Z"
