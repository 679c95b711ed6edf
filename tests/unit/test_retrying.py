"""How long is waited between two tries at Codat."""

import pytest

from shared.domain.errors import CodatRejected, CodatUnavailable
from shared.retrying import retrying


def waits(error: Exception, *, seconds_left: float = 100.0) -> list[float]:
    """Until it is given up, with the error raised as it was."""
    waited: list[float] = []

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        retrying(lambda: seconds_left).copy(sleep=waited.append)(fail)
    assert raised.value is error
    return waited


def test_the_wait_is_drawn_from_all_of_a_growing_span() -> None:
    """Full jitter: many callers that failed together don't come back together."""
    draws = [waits(CodatUnavailable("down")) for _ in range(200)]
    for number, longest in enumerate([0.25, 0.5, 1.0]):
        drawn = [waited[number] for waited in draws]
        assert 0 <= min(drawn) < longest / 4
        assert longest * 3 / 4 < max(drawn) <= longest


def test_what_cannot_succeed_is_not_tried_again() -> None:
    """Whether it can belongs to the error."""
    assert waits(CodatRejected("no")) == []


def asks_to_wait(seconds: int) -> CodatUnavailable:
    error = CodatUnavailable("down")
    error.retry_after = seconds
    return error


def test_no_attempt_starts_that_could_only_time_out() -> None:
    """Neither does one after a pause that Codat asked for and that does not fit."""
    assert waits(CodatUnavailable("down"), seconds_left=0.9) == []
    assert waits(asks_to_wait(20), seconds_left=20) == []
    assert waits(asks_to_wait(20), seconds_left=22) == [20, 20, 20]
