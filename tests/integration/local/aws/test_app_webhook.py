"""Change events posted to an app that isn't on AWS."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from local.aws import app_webhook
from local.aws.app_webhook import AppWebhook
from local.settings import LocalSettings
from local.stack import running_stack


@dataclass
class Receiver:
    """A tiny app. `answer` returns the status for an event, and may wait."""

    answer: Callable[[dict[str, Any]], int] = lambda _: 204
    requests: list[tuple[str | None, dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    def versions(self, connection_id: str = "a") -> list[int]:
        return [
            event["detail"]["version"]
            for _, event in self.requests
            if event["detail"].get("connectionId") == connection_id
        ]

    def wait_for(self, number: int) -> None:
        deadline = time.monotonic() + 30
        while len(self.requests) < number:
            assert time.monotonic() < deadline, self.requests
            time.sleep(0.01)


@contextmanager
def receiving(receiver: Receiver, port: int = 0) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["content-length"])))
            receiver.requests.append((self.headers["x-api-key"], event))
            self.send_response(receiver.answer(event))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}/events"
        yield receiver
        server.shutdown()
        thread.join(5)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_webhook, "_MIN_WAIT", 0.02)
    monkeypatch.setattr(app_webhook, "_MAX_WAIT", 0.05)


def event(version: int, connection_id: str = "a") -> dict[str, Any]:
    detail = {"connectionId": connection_id, "customerId": "c", "version": version}
    return {"id": f"e-{version}", "detail-type": "connection.updated", "detail": detail}


def statuses(*answers: int) -> Callable[[dict[str, Any]], int]:
    """Return these statuses in turn, then 200."""
    left = list(answers)
    return lambda _: left.pop(0) if left else 200


@pytest.mark.parametrize("status", [500, 503, 401, 407, 409, 429])
def test_an_event_is_retried_before_the_later_ones_of_its_connection(status: int) -> None:
    """GIVEN two failures THEN the events of the connection arrive in order, each with the key."""
    with receiving(Receiver(statuses(status, status))) as app, (webhook := AppWebhook(app.url, "key")).running():
        webhook.send(event(1))
        webhook.send(event(2))
        app.wait_for(4)
    assert app.versions() == [1, 1, 1, 2]
    assert {key for key, _ in app.requests} == {"key"}
    assert app.requests[0][1] == event(1)


@pytest.mark.parametrize("status", [204, 302, 400, 403, 404, 410])
def test_an_answer_that_eventbridge_does_not_retry_ends_an_event(status: int) -> None:
    with receiving(Receiver(statuses(status))) as app, (webhook := AppWebhook(app.url, "key")).running():
        webhook.send(event(1))
        webhook.send(event(2))
        app.wait_for(2)
    assert app.versions() == [1, 2]


def test_a_failing_connection_delays_no_other() -> None:
    with receiving(Receiver(lambda event: 500 if event["detail"]["connectionId"] == "a" else 200)) as app:
        webhook = AppWebhook(app.url, "key")
        with webhook.running():
            webhook.send(event(1))
            app.wait_for(1)
            webhook.send(event(1, "b"))
            app.wait_for(5)
    assert app.versions("b") == [1]
    assert set(app.versions()) == {1}


def test_an_app_that_is_closed_gets_the_events_later() -> None:
    """GIVEN a port without a server WHEN the app starts THEN it gets the events in order."""
    with receiving(Receiver()) as app:
        pass
    webhook = AppWebhook(app.url, "key")
    with webhook.running():
        webhook.send(event(1))
        webhook.send(event(2))
        time.sleep(0.1)
        with receiving(app, int(app.url.split(":")[2].partition("/")[0])):
            app.wait_for(2)
    assert app.versions() == [1, 2]


def test_an_answer_after_the_timeout_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_webhook, "_TIMEOUT", 0.1)
    delays = [0.3, 0]

    def answer(_: dict[str, Any]) -> int:
        time.sleep(delays.pop(0))
        return 200

    with receiving(Receiver(answer)) as app, (webhook := AppWebhook(app.url, "key")).running():
        webhook.send(event(1))
        app.wait_for(2)
    assert app.versions() == [1, 1]


def test_a_slow_app_blocks_neither_calls_nor_the_end_of_the_stack() -> None:
    """GIVEN an app that doesn't answer THEN calls are as quick as without it. The body is the event on the bus."""
    released = threading.Event()

    def answer(_: dict[str, Any]) -> int:
        released.wait(20)
        return 200

    with receiving(Receiver(answer)) as app:
        settings = LocalSettings.from_environment(
            {"PORT": "0", "APP_WEBHOOK_URL": app.url, "APP_WEBHOOK_KEY": "the-apps-key"}
        )
        with running_stack(settings) as stack:
            started = time.monotonic()
            for customer_id in ("acme", "beta"):
                body = {"customerId": customer_id, "name": "Acme Ltd"}
                assert httpx.post(f"{stack.url}/customers", json=body, timeout=10).status_code == 201
            events = stack.events()
            app.wait_for(1)
            stopped = time.monotonic()
            assert stopped - started < 5
        assert time.monotonic() - stopped < 5
        released.set()
    # Events of two customers have no order.
    assert app.requests[0] in [("the-apps-key", event) for event in events]
    assert {event["detail-type"] for event in events} == {"customer.created"}
