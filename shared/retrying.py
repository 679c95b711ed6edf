"""When a request is worth sending again: where its error says so, and the caller's time allows."""

from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from shared.domain.errors import CodatError

_LEAST_FOR_A_TRY = 1.0
"""Seconds: with less than this left after the wait, another try could only time out."""

_full_jitter = wait_random_exponential(multiplier=0.25, max=4.0)


def retrying(seconds_left: Callable[[], float], *, attempts: int = 4) -> Retrying:
    """Tries again after a retryable CodatError, and raises the last one where that is over.

    Waits as long as Codat said (`Retry-After`), otherwise exponentially with full jitter, and never past the
    caller's remaining time.
    """
    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, CodatError) and error.retryable),
        wait=_wait,
        stop=lambda state: (
            stop_after_attempt(attempts)(state) or state.upcoming_sleep + _LEAST_FOR_A_TRY > seconds_left()
        ),
        reraise=True,
    )


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    told = error.retry_after if isinstance(error, CodatError) else None
    return _full_jitter(state) if told is None else told
