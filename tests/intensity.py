"""How much is tried: `INTENSITY=20 make test` tries twenty times as many cases as every run does."""

import os

from hypothesis import HealthCheck, settings

_INTENSITY = int(os.environ.get("INTENSITY", "1"))


def seeds(count: int) -> range:
    """Of cases that repeat themselves from their number."""
    return range(count * _INTENSITY)


def intensity(examples: int) -> settings:
    """`examples` of Hypothesis's, each as slow as the stack is."""
    return settings(
        max_examples=examples * _INTENSITY,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
