"""Requests that the gateway answered, kept so that somebody can wait for one."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.gateway.app import Exchange

WEBHOOK_PATH = "/webhooks/codat"


class Exchanges:
    """Pass `add` to the stack as `on_exchange`; the rest is for any thread."""

    def __init__(self) -> None:
        self._all: list[Exchange] = []
        self._changed = threading.Condition()

    def add(self, exchange: Exchange) -> None:
        with self._changed:
            self._all.append(exchange)
            self._changed.notify_all()

    def all(self) -> list[Exchange]:
        with self._changed:
            return list(self._all)

    def wait_for(self, wanted: Callable[[Exchange], bool], seconds: float) -> Exchange | None:
        """The first one that is wanted, or None where none came in time."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self._changed:
            while True:
                for exchange in self._all[seen:]:
                    if wanted(exchange):
                        return exchange
                seen = len(self._all)
                if not self._changed.wait(deadline - time.monotonic()) and len(self._all) == seen:
                    return None


def webhook_event(exchange: Exchange) -> dict[str, Any] | None:
    """The event of a webhook; None for other requests and for what is no event."""
    if exchange.path != WEBHOOK_PATH:
        return None
    try:
        event = json.loads(exchange.request_body)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("eventType"), str) else None
