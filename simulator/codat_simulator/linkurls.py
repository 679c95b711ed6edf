"""One-time link URLs: each works once and dies after a day.

A token vouches for itself (company, connection, expiry, keyed hash), so that minting one for every
row of a long listing stores nothing; only the spent ones are remembered, and only while they would
still be good.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from hmac import compare_digest
from threading import Lock

LIFETIME = timedelta(days=1)


@dataclass(frozen=True)
class Unusable(Exception):
    """Why a link doesn't open: `expired`, `used` or `invalid`."""

    reason: str


class LinkUrls:
    """`base_url` is this server's own address, known once it listens."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.base_url = "http://127.0.0.1"
        self._now = now
        self._key = secrets.token_bytes(32)
        self._spent: dict[str, float] = {}
        self._lock = Lock()

    def of_company(self, company_id: str) -> str:
        path = f"/company/{company_id}"
        return f"{self.base_url}{path}?otp={self.mint(path)}"

    def of_connection(self, company_id: str, connection_id: str) -> str:
        path = f"/companies/{company_id}/connections/{connection_id}/start"
        return f"{self.base_url}{path}?otp={self.mint(path)}"

    def mint(self, path: str) -> str:
        expires = f"{int((self._now() + LIFETIME).timestamp()):x}"
        nonce = secrets.token_hex(8)
        return f"{expires}.{nonce}.{self._seal(path, expires, nonce)}"

    def spend(self, path: str, token: str) -> None:
        """Raises Unusable for a token that isn't of this path, was spent or is over a day old."""
        expires, _, rest = token.partition(".")
        nonce, _, seal = rest.partition(".")
        if not compare_digest(seal.encode(), self._seal(path, expires, nonce).encode()):
            raise Unusable("invalid")
        now = self._now().timestamp()
        with self._lock:
            if int(expires, 16) <= now:
                raise Unusable("expired")
            if nonce in self._spent:
                raise Unusable("used")
            self._spent[nonce] = int(expires, 16)
            if len(self._spent) % 1000 == 0:
                self._spent = {spent: until for spent, until in self._spent.items() if until > now}

    def clear(self) -> None:
        """No URL from before opens any more."""
        with self._lock:
            self._spent.clear()
            self._key = secrets.token_bytes(32)

    def _seal(self, path: str, expires: str, nonce: str) -> str:
        return blake2b(f"{path}\n{expires}\n{nonce}".encode(), key=self._key, digest_size=16).hexdigest()
