"""Requests that the gateway answered."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WEBHOOK_PATH = "/webhooks/codat"
INVITATION_PREFIX = "/connect/"
BACKGROUND_READ_HEADER = "x-background-read"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its response."""

    method: str
    path: str
    headers: Mapping[str, str]
    request_body: bytes
    status: int
    seconds: float
    response_body: bytes = b""

    @property
    def is_webhook(self) -> bool:
        return (self.method, self.path) == ("POST", WEBHOOK_PATH)

    @property
    def is_background_read(self) -> bool:
        """Return whether the console refreshes itself, which it does after every change."""
        return self.method == "GET" and BACKGROUND_READ_HEADER in self.headers

    def webhook_event(self) -> dict[str, Any] | None:
        """Return the event of a webhook, or None for other requests and invalid events."""
        if not self.is_webhook:
            return None
        try:
            event = json.loads(self.request_body)
        except (ValueError, RecursionError):
            return None
        return event if isinstance(event, dict) and isinstance(event.get("eventType"), str) else None


class Exchanges:
    """Pass `add` to the stack as `on_exchange`. Thread-safe."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []
        self._added = threading.Condition()

    def add(self, exchange: Exchange) -> None:
        with self._added:
            self._exchanges.append(exchange)
            self._added.notify_all()

    def all(self) -> list[Exchange]:
        with self._added:
            return list(self._exchanges)

    def wait_for(self, matches: Callable[[Exchange], bool], seconds: float, *, after: int = 0) -> Exchange | None:
        """Return the first matching exchange after the first `after` ones, or None after the timeout."""
        with self._added:
            self._added.wait_for(lambda: any(map(matches, self._exchanges[after:])), seconds)
            return next(filter(matches, self._exchanges[after:]), None)
