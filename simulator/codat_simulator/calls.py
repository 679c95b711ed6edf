"""Which requests Codat got: what a test counts."""

from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import Any

from codat_simulator.patterns import matches

_REMEMBERED = 100_000


@dataclass
class Call:
    """`status` is None while it runs, and where no answer was given. `replayed`: from the
    idempotency cache.
    """

    method: str
    path: str
    query: str
    idempotency_key: str | None
    status: int | None = None
    replayed: bool = False

    def log_entry(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "idempotencyKey": self.idempotency_key,
            "status": self.status,
            "replayed": self.replayed,
        }


class Calls:
    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=_REMEMBERED)
        self._lock = Lock()

    def record(self, method: str, path: str, query: str, idempotency_key: str | None) -> Call:
        call = Call(method, path, query, idempotency_key)
        with self._lock:
            self._calls.append(call)
        return call

    def list(self, method: str = "*", path: str = "**") -> list[Call]:
        """Oldest first. In `path`, `*` stands for one segment, `**` for anything."""
        with self._lock:
            return [c for c in self._calls if method in {"*", c.method} and matches(path, c.path)]

    def count(self, method: str = "*", path: str = "**") -> int:
        return len(self.list(method, path))

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()
