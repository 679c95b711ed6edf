"""Creating one thing at Codat exactly once, whatever happens on the way.

Codat's idempotency key makes a request safe to repeat, and its rules decide what an answer proves:

- no answer: the work may be done, or still run. The same key again.
- 409: it still runs. Wait; the same key again.
- 429: the key was released and nothing was done. The same key again, when Codat says.
- 5xx: unknown, and cached under the key. The same key once more: only when the *same* answer comes back is it a
  replay, hence over. Then look whether the thing exists, and only then take a new key. What carries no correlation
  id may be a gateway's, the same for every request: it proves nothing while an earlier request may still run.
- any other 4xx: refused. Final, unless an earlier request under this key may have worked: then look first.

A key is not sent after 80 minutes: Codat forgets after 90, and would do the work anew.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

from shared.domain.claims import Claim
from shared.domain.errors import (
    CodatBusy,
    CodatError,
    CodatRateLimited,
    CodatUnavailable,
    CreationInProgress,
    SecretsUnavailable,
)
from shared.retrying import retrying
from shared.services.ports import Call, Claims

KEY_LIFE = timedelta(minutes=80)

_Thing = TypeVar("_Thing")


class Creation(Generic[_Thing]):
    def __init__(
        self,
        claim: Claim,
        ask: Callable[[str], _Thing],
        look_up: Callable[[], _Thing | None],
        confirm: Callable[[_Thing], _Thing | None],
        *,
        claims: Claims,
        call: Call,
    ) -> None:
        """`ask` sends the request under the key that it is given; `look_up` finds what exists already; `confirm` reads
        again what an answer tells that may be a replay, hence old: None where the thing is gone by now.
        """
        self.claim = claim
        self._ask = ask
        self._look_up = look_up
        self._confirm = confirm
        self._claims = claims
        self._call = call
        self._may_have_worked = self._may_still_run = self._look_first = not claim.fresh
        self._answers_seen: set[str] = set()
        self._refused = False

    def run(self, seconds_left: Callable[[], float]) -> _Thing:
        """The thing, created or found. The claim is still held (see `claim`: its key may be another by now).

        Raises what stopped it, a CodatError or SecretsUnavailable, with the claim dropped where Codat refused for good,
        and otherwise released, so that the same call, repeated, goes on at once; CreationInProgress where Codat is
        still at it.
        """
        if not self.claim.fresh:
            self._call.telemetry.count("CreationTakenOver")
        try:
            return retrying(seconds_left)(self._try)
        except CodatBusy as busy:
            now = self._call.now()
            raise CreationInProgress(self.claim.subject, self.claim.seconds_left(now)) from busy
        except (CodatError, SecretsUnavailable):
            end = self._claims.drop if self._refused else self._claims.release
            end(self.claim)
            raise

    def _try(self) -> _Thing:
        self._refused = False
        too_old = self._call.now() - self.claim.key_issued_at > KEY_LIFE
        if too_old or self._look_first:
            found = self._look_up()
            if found is not None:
                return found
            self._look_first = False
            if too_old:
                self._renew_key()
        try:
            return self._confirmed(self._ask(self.claim.idempotency_key))
        except CodatError as error:
            found = self._after(error)
            if found is None:
                raise
            return found

    def _confirmed(self, thing: _Thing) -> _Thing:
        if not self._may_have_worked:
            return thing
        confirmed = self._confirm(thing)
        if confirmed is not None:
            return confirmed
        self._renew_key()
        return self._ask(self.claim.idempotency_key)

    def _after(self, error: CodatError) -> _Thing | None:
        """What exists, where the error makes it worth a look; the next try is prepared."""
        if isinstance(error, CodatBusy | CodatRateLimited):
            return None
        if isinstance(error, CodatUnavailable):
            if self._is_over(error) and error.fingerprint in self._answers_seen:
                return self._found_or_new_key()
            self._may_have_worked = True
            if error.fingerprint is None:
                self._may_still_run = True
            else:
                self._answers_seen.add(error.fingerprint)
            return None
        found = self._look_up() if self._may_have_worked else None
        self._refused = found is None and self._is_over(error)
        if self._refused and error.retryable:
            self._renew_key()
        return found

    def _is_over(self, error: CodatError) -> bool:
        """Whether such an answer can't come while an earlier request under the key still runs."""
        return error.correlation_id is not None or not self._may_still_run

    def _found_or_new_key(self) -> _Thing | None:
        found = self._look_up()
        if found is None:
            self._renew_key()
        return found

    def _renew_key(self) -> None:
        self.claim = self._claims.renew_key(self.claim, self._call.new_id(), self._call.now())
        self._may_have_worked = self._may_still_run = False
        self._answers_seen.clear()
