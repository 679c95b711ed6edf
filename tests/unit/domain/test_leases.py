"""The time that is left of a lease."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.leases import CreationLease, seconds_until

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def lease(seconds: float) -> CreationLease:
    return CreationLease(
        subject="Customer c-1",
        creation_id="creation",
        idempotency_key="key",
        key_issued_at=NOW,
        is_settled=True,
        last_sent_at=None,
        owner="owner",
        lease_until=NOW + timedelta(seconds=seconds),
        key=("CUSTOMER#c-1", "CUSTOMER"),
        payload={"name": "Bank of Dave"},
    )


@pytest.mark.parametrize(
    ("seconds", "expected"), [(30, 30), (29.001, 30), (1.2, 2), (1, 1), (0.001, 1), (0, 1), (-5, 1)]
)
def test_the_time_left_is_rounded_up_and_at_least_one_second(seconds: float, expected: int) -> None:
    """A `Retry-After` of 0 would make callers loop, and a shorter time would end before the lease."""
    assert seconds_until(NOW + timedelta(seconds=seconds), NOW) == expected


def test_a_lease_shows_no_personal_data() -> None:
    assert "Dave" not in repr(lease(30))
