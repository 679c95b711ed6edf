"""What happened on this machine, for the console: a bounded log that browsers follow by server-sent events."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import uuid
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from codat_simulator.call_log import Call
    from codat_simulator.faults import WebhookFault
    from codat_simulator.webhooks import Delivery

    from local.gateway.exchanges import Exchange

Lane = Literal["app", "codat", "webhooks", "events", "console"]

# Bounds the memory of a stack that runs for days.
_MAX_ENTRIES = 500
_MAX_BODY_BYTES = 16 * 1024
# Seconds. A comment after this silence shows a browser behind a dead connection that the server is gone.
_HEARTBEAT = 15.0
# The console is shown around, and these values give access to a customer's data.
_CREDENTIALS = frozenset({"accessToken", "apiKey", "linkUrl", "redirect"})
# On a webhook's signature, by the status of the response.
_VERDICTS = {401: "rejected", 413: "unchecked"}


class Activity:
    """Thread-safe. An entry's id is that of the run and a number, so that a restarted server is recognised."""

    def __init__(self) -> None:
        self._run_id = uuid.uuid4().hex
        self._entries: deque[tuple[int, str]] = deque(maxlen=_MAX_ENTRIES)
        self._number = 0
        self._followers: set[Callable[[], object]] = set()
        self._is_closed = False
        self._lock = threading.Lock()

    def add(self, lane: Lane, title: str, **details: Any) -> None:
        entry = {"lane": lane, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "title": title, **details}
        try:
            text = json.dumps(entry)
        except RecursionError:
            return  # a body that was nested too deeply to show
        with self._lock:
            self._number += 1
            self._entries.append((self._number, text))
        self._notify()

    def add_exchange(self, exchange: Exchange) -> None:
        details = {
            "status": exchange.status,
            "ms": round(exchange.seconds * 1000),
            "request": _readable(exchange.request_body),
            "response": _readable(exchange.response_body),
        }
        if not exchange.is_webhook:
            self.add("app", f"{exchange.method} {exchange.path}", **details)
            return
        event = exchange.webhook_event()
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        self.add(
            "webhooks",
            event["eventType"] if event else "unreadable webhook",
            verdict=_VERDICTS.get(exchange.status, "verified"),
            headers={name: exchange.headers[name] for name in names if name in exchange.headers},
            **details,
        )

    def add_codat_call(self, call: Call, seconds: float, request: bytes, response: bytes) -> None:
        """Pass it to the simulator as `observe_call`."""
        self.add(
            "codat",
            f"{call.method} {call.path}",
            status=call.status,
            ms=round(seconds * 1000),
            query=call.query,
            idempotencyKey=call.idempotency_key,
            request=_readable(request),
            response=_readable(response),
        )

    def add_webhook_fault(self, delivery: Delivery, kind: WebhookFault) -> None:
        """Pass it to the simulator's webhooks as `observe_fault`."""
        self.add("webhooks", delivery.event_type, verdict=kind, request=_readable(delivery.body))

    def add_event(self, event: dict[str, Any]) -> None:
        self.add("events", event["detail-type"], request=event)

    def close(self) -> None:
        """End all followers, so that they don't delay the server's shutdown."""
        self._is_closed = True
        self._notify()

    async def stream(self, last_id: str, **facts: Any) -> AsyncIterator[str]:
        """Yield server-sent events: `hello` with the facts, the entries after `last_id`, `live`, then new entries."""
        run_id, _, number = last_id.partition(".")
        last = int(number) if run_id == self._run_id and number.isdecimal() else 0
        changed = asyncio.Event()
        follower = partial(asyncio.get_running_loop().call_soon_threadsafe, changed.set)
        with self._lock:
            self._followers.add(follower)
        try:
            yield f"retry: 1000\nevent: hello\ndata: {json.dumps({'run': self._run_id, **facts})}\n\n"
            is_live = False
            while not self._is_closed:
                changed.clear()
                with self._lock:
                    entries = [(number, text) for number, text in self._entries if number > last]
                if entries:
                    last = entries[-1][0]
                    yield "".join(f"id: {self._run_id}.{number}\ndata: {text}\n\n" for number, text in entries)
                if not is_live:
                    is_live = True
                    yield "event: live\ndata: {}\n\n"
                try:
                    async with asyncio.timeout(_HEARTBEAT):
                        await changed.wait()
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            with self._lock:
                self._followers.discard(follower)

    def _notify(self) -> None:
        with self._lock:
            for follower in self._followers:
                with suppress(RuntimeError):  # its event loop has ended
                    follower()


def _readable(body: bytes) -> Any:
    """Return the JSON without credentials; a note about any other body."""
    if not body:
        return None
    if len(body) > _MAX_BODY_BYTES:
        return f"({len(body):,} bytes: too large to show)"
    try:
        return json.loads(body, object_hook=_without_credentials)
    except (ValueError, RecursionError):
        return f"({len(body):,} bytes: not JSON)"


def _without_credentials(document: dict[str, Any]) -> dict[str, Any]:
    return {name: _hidden(value) if _is_credential(name, value) else value for name, value in document.items()}


def _is_credential(name: str, value: Any) -> bool:
    return isinstance(value, str) and (name in _CREDENTIALS or (name == "url" and "/connect/" in value))


def _hidden(value: str) -> str:
    """Keep the host of a link only: without one-time links, its path gives access."""
    address = re.match(r"https?://[^/?#]+/", value)
    return f"{address[0] if address else ''}(hidden)"
