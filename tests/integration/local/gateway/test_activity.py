"""The log that the console follows."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, NoReturn

import pytest

from local.gateway.activity import Activity
from local.gateway.exchanges import Exchange


def exchange(path: str = "/customers", status: int = 201, **values: Any) -> Exchange:
    defaults = {"method": "POST", "headers": {}, "request_body": b"", "seconds": 0.0415}
    return Exchange(path=path, status=status, **{**defaults, **values})


def parse(text: str) -> list[dict[str, Any]]:
    """Return the server-sent events of a chunk, each with its fields."""
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block]
    return [
        {**event, "data": json.loads(event["data"], parse_constant=not_json)} for event in events if "data" in event
    ]


def not_json(name: str) -> NoReturn:
    """Fail as a browser does."""
    raise ValueError(name)


async def read(activity: Activity, last_id: str = "", *, until: str | None = None) -> list[dict[str, Any]]:
    """Return the events up to the event `live`, or to the entry with the title `until`."""
    found: list[dict[str, Any]] = []
    async for chunk in activity.stream(last_id):
        found += parse(chunk)
        last = found[-1]
        if last["data"].get("title") == until if until else last.get("event") == "live":
            break
    return found


def titles(events: list[dict[str, Any]]) -> list[str]:
    return [event["data"]["title"] for event in events if "id" in event]


def test_a_new_page_gets_everything_and_a_returning_one_what_it_missed() -> None:
    """GIVEN three entries WHEN a page has seen two THEN it gets the third. Of another run's id it gets all."""
    activity = Activity()
    for title in ("first", "second", "third"):
        activity.add("app", title)

    events = asyncio.run(read(activity))
    assert [event.get("event") for event in events] == ["hello", None, None, None, "live"]
    assert titles(events) == ["first", "second", "third"]

    second = events[2]["id"]
    assert titles(asyncio.run(read(activity, second))) == ["third"]
    assert titles(asyncio.run(read(activity, f"another-run.{second.rpartition('.')[2]}"))) == [
        "first",
        "second",
        "third",
    ]
    assert titles(asyncio.run(read(activity, f"{second}x"))) == ["first", "second", "third"]


def test_an_entry_of_another_thread_arrives_at_once() -> None:
    activity = Activity()

    async def follow() -> list[dict[str, Any]]:
        threading.Timer(0.05, activity.add, ("app", "later")).start()
        async with asyncio.timeout(5):
            return await read(activity, until="later")

    assert titles(asyncio.run(follow())) == ["later"]


def test_the_log_is_bounded() -> None:
    activity = Activity()
    for number in range(600):
        activity.add("app", str(number))
    shown = titles(asyncio.run(read(activity)))
    assert (len(shown), shown[-1]) == (500, "599")


def test_close_ends_a_stream() -> None:
    """Otherwise an open page delays the shutdown."""
    activity = Activity()

    async def follow() -> None:
        threading.Timer(0.05, activity.close).start()
        async with asyncio.timeout(5):
            async for _ in activity.stream(""):
                pass

    asyncio.run(follow())


def added(exchange: Exchange) -> dict[str, Any]:
    activity = Activity()
    activity.add_exchange(exchange)
    events = asyncio.run(read(activity))
    entry: dict[str, Any] = events[1]["data"]
    return entry


def test_a_call_has_its_bodies_without_credentials() -> None:
    """Of a link, the host is shown."""
    response = {"linkUrl": "http://codat/start?x=1&otp=secret", "accessToken": "secret", "name": "Acme"}
    entry = added(exchange(request_body=b'{"name": "Acme"}', response_body=json.dumps(response).encode()))
    assert (entry["lane"], entry["title"], entry["status"], entry["ms"]) == ("app", "POST /customers", 201, 42)
    assert entry["request"] == {"name": "Acme"}
    assert entry["response"] == {
        "linkUrl": "http://codat/(hidden)",
        "accessToken": "(hidden)",
        "name": "Acme",
    }


def test_an_invitations_token_is_hidden() -> None:
    """In the URL that the API returns. The gateway hides it in the path."""
    invitation = {"url": "https://app.example.com/connect/secret", "invitationId": "1"}
    assert added(exchange(response_body=json.dumps(invitation).encode()))["response"] == {
        "url": "https://app.example.com/(hidden)",
        "invitationId": "1",
    }


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", None),
        (b"<html>", "(6 bytes: not JSON)"),
        (b"[" * 10_000, "(10,000 bytes: not JSON)"),
        (b'{"total": NaN}', "(14 bytes: not JSON)"),
        (b"[-Infinity]", "(11 bytes: not JSON)"),
        (b"[1e999, -1e999, 1.5]", ["1e999", "-1e999", 1.5]),
        (b'"' + b"x" * 20_000 + b'"', "(20,002 bytes: too large to show)"),
    ],
)
def test_other_bodies_are_described(body: bytes, shown: Any) -> None:
    """A browser reads each entry, so it has no NaN and no Infinity."""
    assert added(exchange(request_body=body))["request"] == shown


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(204, "verified"), (401, "rejected"), *((status, "unchecked") for status in (404, 413, 500, 503))],
)
def test_a_webhook_has_the_verdict_on_its_signature(status: int, verdict: str) -> None:
    """A 503 is possible before the signature is verified. Only the headers of the signature are shown."""
    headers = {"webhook-id": "msg_1", "webhook-signature": "v1,abc", "cookie": "private"}
    body = b'{"eventType": "connection.created"}'
    entry = added(exchange("/webhooks/codat", status, headers=headers, request_body=body))
    assert (entry["lane"], entry["title"], entry["verdict"]) == ("webhooks", "connection.created", verdict)
    assert entry["headers"] == {"webhook-id": "msg_1", "webhook-signature": "v1,abc"}


def test_an_unreadable_webhook_is_shown() -> None:
    assert added(exchange("/webhooks/codat", 401, request_body=b"\xff"))["title"] == "unreadable webhook"


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_another_method_is_no_webhook(method: str) -> None:
    """The API has no such route."""
    entry = added(exchange("/webhooks/codat", 404, method=method))
    assert (entry["lane"], entry["title"]) == ("app", f"{method} /webhooks/codat")
    assert "verdict" not in entry
