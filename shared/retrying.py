"""Retries of requests to Codat, within the caller's remaining time."""

from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from shared.domain.errors import CodatError

MAX_ATTEMPTS = 4

MIN_SECONDS_FOR_ATTEMPT = 1.0
"""Seconds. A retry with less time left would only time out. The first attempt is not checked."""

_full_jitter = wait_random_exponential(multiplier=0.25, max=4.0)


def retrying(seconds_left: Callable[[], float]) -> Retrying:
    """Return a Retrying that repeats a function after a retryable CodatError, and finally raises the last error.

    It waits as long as Codat's `Retry-After` requires, otherwise a random, growing time. It raises at once if the wait
    and another attempt don't fit into `seconds_left`.
    """

    def should_stop(state: RetryCallState) -> bool:
        is_out_of_time = state.upcoming_sleep + MIN_SECONDS_FOR_ATTEMPT > seconds_left()
        return state.attempt_number >= MAX_ATTEMPTS or is_out_of_time

    is_retryable = retry_if_exception(lambda error: isinstance(error, CodatError) and error.retryable)
    return Retrying(retry=is_retryable, wait=_wait, stop=should_stop, reraise=True)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.retry_after if isinstance(error, CodatError) else None
    return _full_jitter(state) if retry_after is None else retry_after
