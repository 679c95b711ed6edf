"""EventBridge on one machine, as far as it is used: PutEvents, recorded in order."""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.template import ACCOUNT_ID, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_PUT_EVENTS = "AWSEvents.PutEvents"
# Quotas of one call.
_MOST_ENTRIES = 10
_MOST_BYTES = 1024 * 1024
# A stack that runs for days is not to grow without end.
_REMEMBERED = 100_000
_REQUIRED = ("Source", "DetailType", "Detail")


class Bus:
    """The events of every bus together. For any thread."""

    def __init__(self) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self._failures = 0
        self._lock = threading.Lock()

    def events(self) -> list[dict[str, Any]]:
        """As a rule's target would get them, oldest first."""
        with self._lock:
            return list(self._events)

    def fail(self, entries: int) -> None:
        """The next entries, and no calls, are answered as failed: EventBridge's way of throttling."""
        with self._lock:
            self._failures = entries

    def put(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """What PutEvents answers: an answer an entry, in their order."""
        with self._lock:
            answers = [self._put(entry) for entry in entries]
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}

    def _put(self, entry: dict[str, Any]) -> dict[str, str]:
        for name in _REQUIRED:
            if not entry.get(name):
                words = f"Parameter {name} is not valid. Reason: {name} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": words}
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            detail = None
        if not isinstance(detail, dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        if self._failures:
            self._failures -= 1
            return {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}
        event_id = str(uuid.uuid4())
        self._events.append(
            {
                "version": "0",
                "id": event_id,
                "detail-type": entry["DetailType"],
                "source": entry["Source"],
                "account": ACCOUNT_ID,
                "time": _time(entry.get("Time")),
                "region": DEFAULT_REGION,
                "resources": entry.get("Resources", []),
                "detail": detail,
            }
        )
        return {"EventId": event_id}


class BusEndpoint:
    """A WSGI app that takes PutEvents and leaves every other request to `app`."""

    def __init__(self, bus: Bus, app: WSGIApplication) -> None:
        self._bus = bus
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_X_AMZ_TARGET") != _PUT_EVENTS:
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        entries = json.loads(body)["Entries"]
        if 0 < len(entries) <= _MOST_ENTRIES and len(body) <= _MOST_BYTES:
            status, answer = "200 OK", self._bus.put(entries)
        else:
            status = "400 Bad Request"
            words = f"PutEvents takes 1 to {_MOST_ENTRIES} entries and {_MOST_BYTES} bytes."
            answer = {"__type": "ValidationException", "message": words}
        content = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(content)))])
        return [content]


def _time(given: float | None) -> str:
    """Epoch seconds, as the client sends a time, in EventBridge's form."""
    moment = datetime.now(UTC) if given is None else datetime.fromtimestamp(given, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
