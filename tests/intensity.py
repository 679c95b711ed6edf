"""Budgets of randomised tests. `INTENSITY=20 make test` runs twenty times as many cases as usual."""

import os

from hypothesis import HealthCheck, settings

_INTENSITY = int(os.environ.get("INTENSITY", "1"))


def seeds(count: int) -> range:
    """Return the seeds of `count` reproducible cases."""
    return range(count * _INTENSITY)


def intensity(examples: int) -> settings:
    """Return settings for `examples` examples that run on the whole stack, and so are slow."""
    return settings(
        max_examples=examples * _INTENSITY,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
