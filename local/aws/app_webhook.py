"""Post change events to the app as EventBridge's API destination does, with shorter waits between retries."""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("local.app_webhook")

KEY_HEADER = "x-api-key"
_TIMEOUT = 5.0
_MIN_WAIT = 0.1
_MAX_WAIT = 10.0
_MAX_REQUESTS = 10
# Besides 5xx: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
_RETRIED = frozenset({401, 407, 409, 429})


class AppWebhook:
    """The events of a connection or customer are posted in order, by a thread that ends after the last one."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._client = httpx.Client(headers={KEY_HEADER: key}, timeout=_TIMEOUT)
        self._events: dict[str, deque[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._requests = threading.Semaphore(_MAX_REQUESTS)
        self._stopping = threading.Event()

    def send(self, event: dict[str, Any]) -> None:
        """Post the event in another thread, until the app accepts it or the context of `running` ends."""
        subject = event["detail"].get("connectionId") or event["detail"].get("customerId")
        with self._lock:
            self._events.setdefault(subject, deque()).append(event)
            if len(self._events[subject]) == 1:
                threading.Thread(target=self._deliver, args=(subject,), name="app-webhook", daemon=True).start()

    @contextmanager
    def running(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._stopping.set()
            self._client.close()

    def _deliver(self, subject: str) -> None:
        wait, events = _MIN_WAIT, self._events[subject]
        while not self._stopping.is_set():
            if not self._post(events[0]):
                self._stopping.wait(wait)
                wait = min(wait * 2, _MAX_WAIT)
                continue
            wait = _MIN_WAIT
            with self._lock:
                events.popleft()
                if not events:
                    del self._events[subject]
                    return

    def _post(self, event: dict[str, Any]) -> bool:
        """Return whether the event is done: accepted, or rejected with a status that EventBridge doesn't retry."""
        try:
            with self._requests:
                response = self._client.post(self._url, json=event)
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:  # RuntimeError: the client is closed
            logger.warning("%s was not posted to the app: %s", event["id"], type(error).__name__)
            return False
        if not response.is_success:
            logger.warning("%s was not accepted by the app: %d", event["id"], response.status_code)
        return not (response.is_server_error or response.status_code in _RETRIED)
