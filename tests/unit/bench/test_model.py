import pytest

from bench.model import ColdStart, percentile


def test_the_first_invocation_runs_on_the_memorys_share_of_a_processor() -> None:
    """GIVEN half of the memory of one processor THEN the first invocation takes twice its CPU time, and init once."""
    cold_start = ColdStart(init=100, first_invocation=50)

    assert cold_start.sum == 150
    assert cold_start.duration(1769) == 150
    assert cold_start.duration(1769 * 2) == 150
    assert ColdStart(100, 50).duration(512) == pytest.approx(100 + 50 * 1769 / 512)


def test_the_price_includes_the_init_phase_and_whole_milliseconds() -> None:
    assert ColdStart(init=499.1, first_invocation=500.1).dollars(1769) == pytest.approx(
        1.0 * 1769 / 1024 * 0.0000133334
    )


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected
    assert percentile([7.0], percent) == 7.0
