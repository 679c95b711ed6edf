"""The API keys of the Codat client."""

import secrets
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from uuid import uuid4

from codat_simulator.errors import ApiError, not_found

MAX_API_KEYS = 10
_VALUE_LENGTH = 40
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """An API key. `value` is what a client sends in the `Authorization` header."""

    id: str
    name: str | None
    value: str
    created: datetime


class ApiKeyStore:
    """Store the valid keys, oldest first. Any thread may call its methods."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._keys: tuple[ApiKey, ...] = ()
        self._lock = Lock()

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(key.value for key in self._keys)

    def list(self) -> tuple[ApiKey, ...]:
        return self._keys

    def replace(self, values: Iterable[str]) -> None:
        """Make exactly these values valid, without the limit. A value that was valid keeps its id and name."""
        with self._lock:
            existing = {key.value: key for key in self._keys}
            self._keys = tuple(existing.get(value) or self._new_key(value) for value in values)

    def create(self, name: str | None) -> ApiKey:
        """Add a key with a random value. Raise an ApiError (409) if there are 10 keys."""
        with self._lock:
            if len(self._keys) >= MAX_API_KEYS:
                message = (
                    "Maximum number of API keys reached. To create a new API key, delete an unused key and try again."
                )
                raise ApiError(409, message)
            key = self._new_key("".join(secrets.choice(_ALPHABET) for _ in range(_VALUE_LENGTH)), name)
            self._keys = (*self._keys, key)
            return key

    def delete(self, key_id: str) -> None:
        """Delete any key, even the last. Raise an ApiError (404) if no key has this id."""
        with self._lock:
            remaining = tuple(key for key in self._keys if key.id != key_id.lower())
            if len(remaining) == len(self._keys):
                raise not_found("API key", key_id)
            self._keys = remaining

    def _new_key(self, value: str, name: str | None = None) -> ApiKey:
        return ApiKey(id=str(uuid4()), name=name, value=value, created=self._now())
