"""Budgets of randomised tests. `INTENSITY=20 make test` runs twenty times as many cases as usual."""

import os

from hypothesis import HealthCheck, settings

_INTENSITY = int(os.environ.get("INTENSITY", "1"))


def examples(count: int) -> int:
    """Return the number of Hypothesis's examples."""
    return count * _INTENSITY


def seeds(count: int) -> range:
    """Return the seeds of `count` reproducible cases."""
    return range(count * _INTENSITY)


def intensity(count: int) -> settings:
    """Return settings for `count` examples that run on the whole stack, and so are slow."""
    return settings(
        max_examples=examples(count),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
