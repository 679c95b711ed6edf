"""Link URLs. One-time links open once and expire after a day; without them, a connection has one stable URL.

A token contains its expiry, a nonce and a keyed hash over them and its path. So a listing can create a
token for every row and store nothing; only the nonces of used tokens are stored, until they expire.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from hmac import compare_digest
from threading import Lock

LIFETIME = timedelta(days=1)
_CLEANUP_INTERVAL = 1_000


@dataclass(eq=False)
class InvalidLinkError(Exception):
    """`reason` is `expired`, `used` or `invalid`."""

    reason: str


class LinkUrls:
    """`base_url` is the address of this server. The server sets it once it listens.

    `one_time` is Codat's setting for a client. If it is off, URLs have no token and work always.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.base_url = "http://127.0.0.1"
        self.one_time = True
        self._now = now
        self._key = secrets.token_bytes(32)
        self._used: dict[str, float] = {}
        self._lock = Lock()

    def of_company(self, company_id: str) -> str:
        return self._url(f"/company/{company_id}")

    def of_connection(self, company_id: str, connection_id: str) -> str:
        return self._url(f"/companies/{company_id}/connections/{connection_id}/start")

    def mint(self, path: str) -> str:
        """Return a new token for this path."""
        expires = f"{int((self._now() + LIFETIME).timestamp()):x}"
        nonce = secrets.token_hex(8)
        return f"{expires}.{nonce}.{self._hash(path, expires, nonce)}"

    def use(self, path: str, token: str) -> None:
        """Mark the token as used. Raise InvalidLinkError if it is forged, used or over a day old."""
        if not self.one_time:
            return
        expires, _, rest = token.partition(".")
        nonce, _, digest = rest.partition(".")
        if not compare_digest(digest.encode(), self._hash(path, expires, nonce).encode()):
            raise InvalidLinkError("invalid")
        now, expiry = self._now().timestamp(), int(expires, 16)
        with self._lock:
            if expiry <= now:
                raise InvalidLinkError("expired")
            if nonce in self._used:
                raise InvalidLinkError("used")
            self._used[nonce] = expiry
            if len(self._used) % _CLEANUP_INTERVAL == 0:
                self._used = {used: until for used, until in self._used.items() if until > now}

    def clear(self) -> None:
        """Invalidate all URLs."""
        with self._lock:
            self._used.clear()
            self._key = secrets.token_bytes(32)

    def _url(self, path: str) -> str:
        return f"{self.base_url}{path}" + (f"?otp={self.mint(path)}" if self.one_time else "")

    def _hash(self, path: str, expires: str, nonce: str) -> str:
        return blake2b(f"{path}\n{expires}\n{nonce}".encode(), key=self._key, digest_size=16).hexdigest()
