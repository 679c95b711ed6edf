"""The log of API calls, from which tests count them."""

from collections import deque
from collections.abc import Callable
from threading import Lock

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from codat_simulator.patterns import matches

_MAX_CALLS = 100_000


class Call(BaseModel):
    """`status` is None while the call runs, and if its connection is dropped.

    `replayed` is True if the response comes from the idempotency cache.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    method: str
    path: str
    query: str
    idempotency_key: str | None
    status: int | None = None
    replayed: bool = False


# Called with the call, its duration in seconds, and the bodies of request and response.
ObserveCall = Callable[[Call, float, bytes, bytes], None]


class CallLog:
    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=_MAX_CALLS)
        self._lock = Lock()

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def list(self, method: str = "*", path: str = "**") -> list[Call]:
        """Return the calls oldest first. In `path`, `*` matches a segment, `**` anything."""
        with self._lock:
            return [c for c in self._calls if method in {"*", c.method} and matches(path, c.path)]

    def count(self, method: str = "*", path: str = "**") -> int:
        return len(self.list(method, path))

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()
