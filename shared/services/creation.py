"""Create one thing at Codat exactly once, despite lost answers, crashes and concurrent calls.

A request is settled when Codat's own answer to it has arrived. Until then it may still be running. The next answer
under the same idempotency key decides about the unsettled request:

    success                     the thing; possibly a replay, so it is read again
    409                         the request is still running
    401, 429, connect errors    no information: they occur before any work
    no answer, or a gateway's   no information
    any other error             a replay if it comes twice with one correlation id, otherwise no information

An unsettled request is sent again under its key, for at most 60 s after the key was issued. After that the thing is
only looked up. A new key is used if the look-up is empty and the old key is settled, or was last used 5 minutes ago.
An empty look-up counts 5 s after the last request, because Codat's lists lag behind.
Source: https://docs.codat.io/using-the-api/idempotency.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Generic, TypeVar, cast

from shared.domain import errors
from shared.domain.leases import CreationLease, seconds_until
from shared.retrying import retrying
from shared.services.context import CodatContext

SEND_WINDOW = timedelta(seconds=60)
"""Time from a key's issue in which requests are sent under it."""

LOOKUP_LAG = timedelta(seconds=5)
"""Longest lag of Codat's lists."""

MAX_RUN_TIME = timedelta(minutes=5)
"""Longest time that a request without an answer runs at Codat."""

MAX_RETRY_AFTER = 30
"""Seconds. A look-up may find the thing before a new key is allowed."""

_Thing = TypeVar("_Thing")


@dataclass(slots=True)
class IdempotentCreation(Generic[_Thing]):
    lease: CreationLease
    context: CodatContext
    send: Callable[[CreationLease], _Thing]
    """Sends the request under the lease's key."""
    find_existing: Callable[[], _Thing | None]
    verify: Callable[[_Thing], _Thing | None]
    """Reads again the thing of a replayed answer; returns None if it was deleted."""
    _may_send: bool = field(default=True, init=False)
    _answers: set[str | None] = field(default_factory=set, init=False)
    _is_refused: bool = field(default=False, init=False)

    def run(self) -> _Thing:
        """Return the thing, created or found. The caller still holds `self.lease`, which may have a new key.

        Raises CodatError or SecretsUnavailable: the lease is discarded if Codat's refusal is final, otherwise released,
        so that a repeated call continues at once. Raises CreationInProgress while a request may still be running.
        """
        return cast("_Thing", self._run())  # `_run` returns None only if `find_out` called it

    def find_out(self) -> _Thing | None:
        """Return the thing if it was created; None if it was not, and can't be any more. Sends no creation request.

        Raises CreationInProgress while a request may still be running, at most 5 minutes, and Codat's errors.
        """
        self._may_send = False
        return self._run()

    def _run(self) -> _Thing | None:
        if self.lease.last_sent_at is not None:
            self.context.telemetry.count("CreationTakenOver")
        try:
            return retrying(self.context.codat.seconds_left)(self._attempt)
        except (errors.CodatError, errors.SecretsUnavailable, errors.CreationInProgress) as error:
            is_over = self._is_refused or self.lease.last_sent_at is None
            (self.context.leases.discard if is_over else self.context.leases.release)(self.lease)
            if isinstance(error, errors.CodatBusy):
                raise self._in_progress() from error
            raise

    def _attempt(self) -> _Thing | None:
        self._is_refused = False
        if self.lease.last_sent_at is None:
            return self._request() if self._may_send else None
        looked_up_at = self.context.now()
        if (existing := self.find_existing()) is not None:
            return existing
        is_in_window = looked_up_at < self.lease.key_issued_at + SEND_WINDOW
        if self._may_send and is_in_window and not self.lease.is_settled:
            return self._request()
        waits_until = self.lease.last_sent_at + (LOOKUP_LAG if self.lease.is_settled else MAX_RUN_TIME)
        if looked_up_at < waits_until:
            raise self._in_progress(min(seconds_until(waits_until, looked_up_at), MAX_RETRY_AFTER))
        if not self._may_send:
            return None
        self._rotate_key()
        return self._request()

    def _request(self) -> _Thing:
        was_settled = self.lease.is_settled
        try:
            thing = self.send(self.lease)
        except errors.CodatError as error:
            self._learn_from(error, was_settled=was_settled)
            raise
        self._note_sent(is_settled=True)
        current = thing if was_settled else self.verify(thing)
        if current is None:
            # The replayed answer is about a thing that was deleted since. The next call looks it up and uses a new key.
            raise self._in_progress()
        return current

    def _learn_from(self, error: errors.CodatError, *, was_settled: bool) -> None:
        if error.had_no_effect:
            self._is_refused = was_settled and not error.retryable
            if was_settled and error.retryable and isinstance(error, errors.CodatRejectedCredentials):
                # The API key was replaced since. Under the old idempotency key Codat may replay the 401.
                self._rotate_key()
            return
        is_replay = error.answer_id is not None and error.answer_id in self._answers
        self._answers.add(error.answer_id)
        settled = error.is_answer and (was_settled or is_replay)
        self._note_sent(is_settled=settled)
        if isinstance(error, errors.CodatUnavailable | errors.CodatBusy):
            return
        self._is_refused = settled
        if not settled and error.answer_id is not None:
            error.retryable = True  # because a second identical answer proves a replay

    def _in_progress(self, retry_after: int = int(LOOKUP_LAG.total_seconds())) -> errors.CreationInProgress:
        return errors.CreationInProgress(self.lease.subject, retry_after)

    def _note_sent(self, *, is_settled: bool) -> None:
        self.lease = replace(self.lease, is_settled=is_settled, last_sent_at=self.context.now())

    def _rotate_key(self) -> None:
        self.lease = self.context.leases.rotate_key(self.lease, self.context.new_id(), self.context.now())
        self._answers.clear()
