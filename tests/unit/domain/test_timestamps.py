"""Codat's times, normalised so that they sort as text."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from shared.domain.timestamps import datetime_of, just_after, timestamp, timestamp_of


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
def test_every_format_of_codat_is_normalised(text: str, expected: str) -> None:
    """To UTC, with seven digits."""
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
def test_other_text_is_rejected(text: str) -> None:
    """A ValueError becomes pydantic's error for the field."""
    with pytest.raises(ValueError, match=r"time|isoformat|hour|second|month"):
        timestamp(text)


moments = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments, moments)
def test_text_sorts_as_time_does(first: datetime, second: datetime) -> None:
    assert (timestamp_of(first) < timestamp_of(second)) == (first < second)


@given(moments)
def test_a_time_is_converted_to_text_and_back(moment: datetime) -> None:
    assert datetime_of(timestamp_of(moment)) == moment
    assert timestamp(timestamp_of(moment)) == timestamp_of(moment)
    assert timestamp_of(moment) < just_after(timestamp_of(moment)) < timestamp_of(moment + timedelta(microseconds=1))


def test_the_timestamp_after_the_last_tick_of_a_year_is_in_the_next_year() -> None:
    assert just_after(timestamp("2024-12-31T23:59:59.9999999Z")) == "2025-01-01T00:00:00.0000000Z"
