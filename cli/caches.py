"""When the functions of a deployment use a changed secret."""

from datetime import datetime, timedelta

from shared.runtime.secrets import CACHE_SECONDS

WEBHOOK_SECONDS = 60
"""Longer than an invocation of the webhook's function, with a margin for clocks."""
MAX_INVOCATION_SECONDS = 900
"""The longest invocation of a function that calls Codat. It uses the API key that it began with."""


def expiry(stored_at: datetime, invocation_seconds: int) -> datetime:
    """Return the time at which no function uses the earlier secret."""
    return stored_at + timedelta(seconds=CACHE_SECONDS + invocation_seconds)
