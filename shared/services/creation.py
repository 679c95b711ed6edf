"""Creating one thing at Codat exactly once, whatever fails along the way.

A request is settled when Codat's own answer to it has arrived. Until then it may still be running, and what a later
answer under the same idempotency key says about it depends on the answer:

    success                     the thing; perhaps a replay, hence read again
    409                         it is still running
    401, 429, connect errors    nothing: they come before any work
    no answer, or a gateway's   nothing
    any other error             nothing, unless it is a replay: the same answer, by its correlation id, twice

So an unsettled request is sent again under the same key, which Codat makes safe. That ends 60 s after the key was
issued; then the thing is only looked up. A new key is used if the old one is settled, or was last used 5 minutes ago,
and the look-up returned nothing. Because Codat's lists lag behind, an empty look-up counts only 5 s after the last
request. Source: https://docs.codat.io/using-the-api/idempotency.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Generic, TypeVar

from shared.domain.errors import (
    CodatBusy,
    CodatError,
    CodatRejectedCredentials,
    CodatUnavailable,
    CreationInProgress,
    SecretsUnavailable,
)
from shared.domain.leases import CreationLease, seconds_until
from shared.retrying import is_retryable, retrying
from shared.services.context import CodatContext

SEND_WINDOW = timedelta(seconds=60)
"""How long one key is sent, counted from its issue."""

LOOKUP_LAG = timedelta(seconds=5)
"""How long Codat's lists may lag behind a request."""

MAX_RUN_TIME = timedelta(minutes=5)
"""How long a request may run at Codat without an answer."""

MAX_RETRY_AFTER = 30
"""Seconds; the thing may be found earlier than a new key is allowed."""

_Thing = TypeVar("_Thing")


class IdempotentCreation(Generic[_Thing]):
    def __init__(
        self,
        lease: CreationLease,
        context: CodatContext,
        *,
        send: Callable[[CreationLease], _Thing],
        find_existing: Callable[[], _Thing | None],
        verify: Callable[[_Thing], _Thing | None],
    ) -> None:
        """`send` sends the request under the lease's key; `find_existing` looks for what this creation made; `verify`
        reads again what a replayed answer contains, and returns None if it is gone.
        """
        self.lease = lease
        self._context = context
        self._send = send
        self._find_existing = find_existing
        self._verify = verify
        self._may_send = True
        self._answers: set[str | None] = set()
        self._is_refused = False
        self._unproven: CodatError | None = None

    def run(self) -> _Thing:
        """Return the thing, created or found. The lease is still held, perhaps with another key: see `lease`.

        Raises what stopped it: a CodatError or SecretsUnavailable, with the lease discarded if Codat refused for good,
        otherwise released, so that the same call, repeated, continues at once. Raises CreationInProgress while an
        earlier request may still be running.
        """
        thing = self._run()
        if thing is None:
            raise TypeError("a creation that may send returned nothing")
        return thing

    def find_out(self) -> _Thing | None:
        """Return the thing if it was created; None if it was not, and can't be any more. Sends nothing.

        Raises CreationInProgress while a request may still be running, at most 5 minutes, and Codat's errors.
        """
        self._may_send = False
        return self._run()

    def _run(self) -> _Thing | None:
        if self.lease.last_sent_at is not None:
            self._context.telemetry.count("CreationTakenOver")
        try:
            return retrying(self._context.codat.seconds_left, retry_if=self._is_worth_retrying)(self._attempt)
        except CodatBusy as error:
            self._context.leases.release(self.lease)
            raise CreationInProgress(self.lease.subject, int(LOOKUP_LAG.total_seconds())) from error
        except CreationInProgress:
            self._context.leases.release(self.lease)
            raise
        except (CodatError, SecretsUnavailable):
            discards = self._is_refused or self.lease.last_sent_at is None
            (self._context.leases.discard if discards else self._context.leases.release)(self.lease)
            raise

    def _attempt(self) -> _Thing | None:
        self._is_refused, self._unproven = False, None
        if self.lease.last_sent_at is None:
            return self._request() if self._may_send else None
        looked_up_at = self._context.now()
        existing = self._find_existing()
        if existing is not None:
            return existing
        is_in_window = looked_up_at < self.lease.key_issued_at + SEND_WINDOW
        if self._may_send and is_in_window and not self.lease.is_settled:
            return self._request()
        waits_until = self.lease.last_sent_at + (LOOKUP_LAG if self.lease.is_settled else MAX_RUN_TIME)
        if looked_up_at < waits_until:
            retry_after = min(seconds_until(waits_until, looked_up_at), MAX_RETRY_AFTER)
            raise CreationInProgress(self.lease.subject, retry_after)
        if not self._may_send:
            return None
        self._rotate_key()
        return self._request()

    def _request(self) -> _Thing:
        was_settled = self.lease.is_settled
        try:
            thing = self._send(self.lease)
        except CodatError as error:
            self._learn_from(error, was_settled=was_settled)
            raise
        self._note_sent(is_settled=True)
        if was_settled:
            return thing
        verified = self._verify(thing)
        if verified is None:
            # A replayed answer about a thing that was deleted since. The next attempt looks, and uses a new key.
            raise CreationInProgress(self.lease.subject, int(LOOKUP_LAG.total_seconds()))
        return verified

    def _learn_from(self, error: CodatError, *, was_settled: bool) -> None:
        if error.had_no_effect:
            self._is_refused = was_settled and not error.retryable
            if was_settled and error.retryable and isinstance(error, CodatRejectedCredentials):
                # The API key was replaced meanwhile, and Codat may replay its 401 under the old idempotency key.
                self._rotate_key()
            return
        is_replay = error.answer_id is not None and error.answer_id in self._answers
        self._answers.add(error.answer_id)
        settled = error.is_answer and (was_settled or is_replay)
        self._note_sent(is_settled=settled)
        if isinstance(error, CodatUnavailable | CodatBusy):
            return
        self._is_refused = settled
        if not settled and error.answer_id is not None:
            # Sent again, to learn whether this refusal is a replay.
            self._unproven = error

    def _is_worth_retrying(self, error: BaseException) -> bool:
        return is_retryable(error) or error is self._unproven

    def _note_sent(self, *, is_settled: bool) -> None:
        self.lease = replace(self.lease, is_settled=is_settled, last_sent_at=self._context.now())

    def _rotate_key(self) -> None:
        self.lease = self._context.leases.rotate_key(self.lease, self._context.new_id(), self._context.now())
        self._answers.clear()
