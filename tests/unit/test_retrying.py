"""The pauses between attempts at Codat."""

import pytest

from shared.domain.errors import CodatRejected, CodatUnavailable
from shared.retrying import retrying


def waits(error: Exception, *, seconds_left: float = 100.0) -> list[float]:
    """Return the pauses before the error is raised."""
    waited: list[float] = []

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        retrying(lambda: seconds_left).copy(sleep=waited.append)(fail)
    assert raised.value is error
    return waited


def test_pauses_have_full_jitter() -> None:
    """Callers that failed together don't come back together."""
    draws = [waits(CodatUnavailable("down")) for _ in range(200)]
    for number, longest in enumerate([0.25, 0.5, 1.0]):
        drawn = [waited[number] for waited in draws]
        assert 0 <= min(drawn) < longest / 4
        assert longest * 3 / 4 < max(drawn) <= longest


def test_a_lasting_error_is_not_retried() -> None:
    assert waits(CodatRejected("no")) == []


def with_retry_after(seconds: int) -> CodatUnavailable:
    error = CodatUnavailable("down")
    error.retry_after = seconds
    return error


def test_no_attempt_starts_that_could_only_time_out() -> None:
    """Also if Codat's `Retry-After` is longer than the remaining time."""
    assert waits(CodatUnavailable("down"), seconds_left=0.9) == []
    assert waits(with_retry_after(20), seconds_left=20) == []
    assert waits(with_retry_after(20), seconds_left=22) == [20, 20, 20]
