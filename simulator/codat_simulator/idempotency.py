"""Codat's rules for `Idempotency-Key`.

not a GUID                          400
the first request still runs        409
the key came with another request   422
answered in the last 90 minutes     that answer again, 4xx and 5xx included
answered 429                        the key is free again
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from codat_simulator.answers import Answer
from codat_simulator.refusals import Refusal, not_valid

LIFETIME = timedelta(minutes=90)

_GUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_TOO_MANY_REQUESTS = 429


@dataclass
class _Entry:
    fingerprint: bytes
    answer: Answer | None = None
    expires: datetime | None = None


class IdempotencyCache:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = Lock()

    def claim(self, key: str, fingerprint: bytes) -> Answer | None:
        """The remembered answer, or None: then the work is the caller's, who must settle or release.

        Raises a Refusal with 400, 409 or 422.
        """
        name = _canonical(key)
        with self._lock:
            self._forget_expired()
            entry = self._entries.get(name)
            if entry is None:
                self._entries[name] = _Entry(fingerprint)
                return None
            if entry.fingerprint != fingerprint:
                raise Refusal(422, "The idempotency key was used with another request.")
            if entry.answer is None:
                raise Refusal(409, "A request is in progress with the same idempotency key.")
            return entry.answer

    def settle(self, key: str, answer: Answer) -> None:
        with self._lock:
            entry = self._entries.pop(_canonical(key), None)
            # It is gone where everything was reset while the request ran.
            if entry is None or answer.status == _TOO_MANY_REQUESTS:
                return
            entry.answer, entry.expires = answer, self._now() + LIFETIME
            self._entries[_canonical(key)] = entry

    def release(self, key: str) -> None:
        with self._lock:
            self._entries.pop(_canonical(key), None)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def _forget_expired(self) -> None:
        now = self._now()
        expired = []
        # Settled entries lie in the order of their expiry; those in progress are stepped over.
        for name, entry in self._entries.items():
            if entry.expires is None:
                continue
            if entry.expires > now:
                break
            expired.append(name)
        for name in expired:
            del self._entries[name]


def _canonical(key: str) -> str:
    if not _GUID.fullmatch(key):
        raise not_valid("Idempotency-Key", "The idempotency key must be a GUID.")
    return key.replace("-", "").lower()
