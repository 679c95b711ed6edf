"""Codat's rules for `Idempotency-Key`.

the key is not a GUID                          400
the first request still runs                   409
the key was used with another request          422
a response was sent in the last 90 minutes     the same response, 4xx and 5xx included
the response was 429                           the key can be used again
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from starlette.responses import Response

from codat_simulator.errors import ApiError, not_valid

LIFETIME = timedelta(minutes=90)

_GUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_TOO_MANY_REQUESTS = 429
_CLEANUP_INTERVAL = 1_000


@dataclass
class _Entry:
    fingerprint: bytes
    response: Response | None = None
    expires: datetime | None = None


class IdempotencyCache:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._entries: dict[str, _Entry] = {}
        self._lock = Lock()

    def begin(self, key: str, fingerprint: bytes) -> Response | None:
        """Return the cached response. If it is None, the caller must call `complete` or `discard`.

        Raise an ApiError with 400, 409 or 422.
        """
        name = _normalize(key)
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or self._is_expired(entry):
                self._entries[name] = _Entry(fingerprint)
                return None
            if entry.fingerprint != fingerprint:
                raise ApiError(422, "The idempotency key was used with another request.")
            if entry.response is None:
                raise ApiError(409, "A request is in progress with the same idempotency key.")
            return entry.response

    def complete(self, key: str, response: Response) -> None:
        name = _normalize(key)
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                return  # `clear` was called while the request ran.
            if response.status_code == _TOO_MANY_REQUESTS:
                del self._entries[name]
                return
            entry.response, entry.expires = response, self._now() + LIFETIME
            if len(self._entries) % _CLEANUP_INTERVAL == 0:
                self._entries = {k: e for k, e in self._entries.items() if not self._is_expired(e)}

    def discard(self, key: str) -> None:
        with self._lock:
            self._entries.pop(_normalize(key), None)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def _is_expired(self, entry: _Entry) -> bool:
        return entry.expires is not None and entry.expires <= self._now()


def _normalize(key: str) -> str:
    if not _GUID.fullmatch(key):
        raise not_valid("Idempotency-Key", "The idempotency key must be a GUID.")
    return key.replace("-", "").lower()
