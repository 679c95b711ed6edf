"""EventBridge on one machine: PutEvents, recorded in order."""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.template import ACCOUNT_ID, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# Quotas of one call.
_MAX_ENTRIES = 10
_MAX_BYTES = 1024 * 1024
# Bounds the memory of a stack that runs for days.
_MAX_EVENTS = 100_000


class Bus:
    """The events of all buses. Thread-safe. `observers` get each event, and must be quick."""

    def __init__(self, observers: Iterable[Callable[[dict[str, Any]], object]] = ()) -> None:
        self.observers = list(observers)
        self._events: deque[dict[str, Any]] = deque(maxlen=_MAX_EVENTS)
        self._failures = 0
        self._lock = threading.Lock()

    def events(self) -> list[dict[str, Any]]:
        """Return the events in the form a rule's target receives, oldest first."""
        with self._lock:
            return list(self._events)

    def fail(self, entries: int) -> None:
        """Throttle the next entries as EventBridge does: the call succeeds and the entries fail."""
        with self._lock:
            self._failures = entries

    def endpoint(self, app: WSGIApplication) -> WSGIApplication:
        """Handle PutEvents, and pass all other requests to `app`."""

        def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ.get("HTTP_X_AMZ_TARGET") != "AWSEvents.PutEvents":
                return app(environ, start_response)
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            entries = json.loads(body)["Entries"]
            if 0 < len(entries) <= _MAX_ENTRIES and len(body) <= _MAX_BYTES:
                status, response = "200 OK", self._put(entries)
            else:
                status = "400 Bad Request"
                message = f"PutEvents takes 1 to {_MAX_ENTRIES} entries and {_MAX_BYTES} bytes."
                response = {"__type": "ValidationException", "message": message}
            start_response(status, [("Content-Type", "application/x-amz-json-1.1")])
            return [json.dumps(response).encode()]

        return call

    def _put(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        with self._lock:
            results = [self._put_entry(entry) for entry in entries]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _put_entry(self, entry: dict[str, Any]) -> dict[str, str]:
        if self._failures:
            self._failures -= 1
            return {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}
        seconds = entry.get("Time")
        time = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": ACCOUNT_ID,
            "time": f"{time:%Y-%m-%dT%H:%M:%SZ}",
            "region": DEFAULT_REGION,
            "resources": entry.get("Resources", []),
            "detail": json.loads(entry["Detail"]),
        }
        self._events.append(event)
        for observe in self.observers:
            observe(event)
        return {"EventId": event["id"]}
