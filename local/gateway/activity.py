"""What happened on this machine, for the console: a bounded log that browsers follow by server-sent events."""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
import time
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from codat_simulator.call_log import Call
    from codat_simulator.faults import WebhookFault
    from codat_simulator.webhooks import Delivery

    from local.gateway.exchanges import Exchange

Lane = Literal["app", "codat", "webhooks", "events", "console"]

# Bounds the memory of a stack that runs for days.
_MAX_ENTRIES = 500
_MAX_BODY_BYTES = 16 * 1024
# Seconds between looks at the log.
_INTERVAL = 0.05
# Seconds. A comment after this silence lets the server notice a closed connection, and keeps proxies from closing an
# idle one.
_HEARTBEAT = 15.0
# People demonstrate the console, so it must not show values that give access to a customer's data.
_CREDENTIALS = frozenset({"accessToken", "apiKey", "linkUrl", "redirect"})
# Verdict on a webhook's signature, by response status. Others occur before the signature is verified, or after it.
_VERDICTS = {204: "verified", 401: "rejected"}


class Activity:
    """Thread-safe. An entry's id is the run's id and a number, so that a browser detects a restarted server."""

    def __init__(self) -> None:
        self._run_id = uuid.uuid4().hex
        self._entries: deque[tuple[int, str]] = deque(maxlen=_MAX_ENTRIES)
        self._number = 0
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

    def add_exchange(self, exchange: Exchange) -> None:
        details = {
            "status": exchange.status,
            "ms": round(exchange.seconds * 1000),
            "request": _redacted_json(exchange.request_body),
            "response": _redacted_json(exchange.response_body),
        }
        if not exchange.is_webhook:
            self.add("app", f"{exchange.method} {exchange.path}", **details)
            return
        event = exchange.webhook_event()
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        self.add(
            "webhooks",
            event["eventType"] if event else "unreadable webhook",
            verdict=_VERDICTS.get(exchange.status, "unchecked"),
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
            request=_redacted_json(request),
            response=_redacted_json(response),
        )

    def add_webhook_fault(self, delivery: Delivery, kind: WebhookFault) -> None:
        """Pass it to the simulator's webhooks as `observe_fault`."""
        self.add("webhooks", delivery.event_type, verdict=kind, request=_redacted_json(delivery.body))

    def add_event(self, event: dict[str, Any]) -> None:
        self.add("events", event["detail-type"], request=event)

    def close(self) -> None:
        """End all streams, so that they don't delay the server's shutdown."""
        self._is_closed = True

    async def stream(self, last_id: str, **facts: Any) -> AsyncIterator[str]:
        """Yield server-sent events: `hello` with the facts, the entries after `last_id`, `live`, then new entries."""
        run_id, _, number = last_id.partition(".")
        last = int(number) if run_id == self._run_id and number.isdecimal() else 0
        yield f"retry: 1000\nevent: hello\ndata: {json.dumps({'run': self._run_id, **facts})}\n\n"
        notice = "event: live\ndata: {}\n\n"
        sent_at = time.monotonic()
        while not self._is_closed:
            with self._lock:
                entries = [(number, text) for number, text in self._entries if number > last]
                last = self._number
            chunk = "".join(f"id: {self._run_id}.{number}\ndata: {text}\n\n" for number, text in entries) + notice
            notice = ""
            if chunk:
                yield chunk
                sent_at = time.monotonic()
            elif time.monotonic() - sent_at > _HEARTBEAT:
                notice = ": still here\n\n"
            else:
                await asyncio.sleep(_INTERVAL)


def _redacted_json(body: bytes) -> Any:
    """Return the JSON without credentials; a note about any other body."""
    if not body:
        return None
    if len(body) > _MAX_BODY_BYTES:
        return f"({len(body):,} bytes: too large to show)"
    try:
        return json.loads(body, object_hook=_without_credentials, parse_float=_finite, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        return f"({len(body):,} bytes: not JSON)"


def _finite(text: str) -> float | str:
    """Return a number that JSON can represent, or the text of a larger one, such as 1e999."""
    number = float(text)
    return number if math.isfinite(number) else text


def _reject_constant(name: str) -> NoReturn:
    """Reject NaN and Infinity, which Python reads and no browser does."""
    raise ValueError(name)


def _without_credentials(document: dict[str, Any]) -> dict[str, Any]:
    return {name: _hidden(value) if _is_credential(name, value) else value for name, value in document.items()}


def _is_credential(name: str, value: Any) -> bool:
    return isinstance(value, str) and (name in _CREDENTIALS or (name == "url" and "/connect/" in value))


def _hidden(value: str) -> str:
    """Keep the host of a link only: without one-time links, its path gives access."""
    address = re.match(r"https?://[^/?#]+/", value)
    return f"{address[0] if address else ''}(hidden)"
