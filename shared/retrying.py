"""Retries of requests to Codat, within the caller's remaining time."""

from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from shared.domain.errors import CodatError

MIN_SECONDS_FOR_ATTEMPT = 1.0
"""An attempt that starts with less time left would only time out."""

_full_jitter = wait_random_exponential(multiplier=0.25, max=4.0)


def is_retryable(error: BaseException) -> bool:
    return isinstance(error, CodatError) and error.retryable


def retrying(
    seconds_left: Callable[[], float],
    *,
    attempts: int = 4,
    retry_if: Callable[[BaseException], bool] = is_retryable,
) -> Retrying:
    """Return a caller that retries while `retry_if` accepts the error, and raises the last one.

    It waits for Codat's `Retry-After`, otherwise exponentially with full jitter, but not past `seconds_left`.
    """
    return Retrying(
        retry=retry_if_exception(retry_if),
        wait=_wait,
        stop=lambda state: (
            stop_after_attempt(attempts)(state) or state.upcoming_sleep + MIN_SECONDS_FOR_ATTEMPT > seconds_left()
        ),
        reraise=True,
    )


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.retry_after if isinstance(error, CodatError) else None
    return _full_jitter(state) if retry_after is None else retry_after
