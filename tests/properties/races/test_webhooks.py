"""Webhooks that arrive concurrently, in any order, more than once."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from tests.concurrently import concurrently
from tests.conftest import App
from tests.intensity import seeds
from tests.payloads import webhook_about

STATUSES = {
    "connection.created": "PendingAuth",
    "connection.connected": "Linked",
    "connection.disconnected": "Unlinked",
    "connection.disconnected.deauthorized": "Deauthorized",
    "connection.reconnected": "Linked",
}
"""The status in each payload."""

CONNECTIONS = 4
EVENTS = 8
DELIVERIES = 12
SEEDS = seeds(3)


def history(chance: random.Random, about: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return events of a connection, oldest first, each with its status."""
    at, events = datetime.now(UTC) - timedelta(days=1), []
    for name in chance.choices(list(STATUSES), k=EVENTS):
        at += timedelta(microseconds=chance.choice([1, 999, 10**6]))
        events.append((STATUSES[name], webhook_about(name, **about, generatedDate=at.isoformat())))
    return events


def delivered(app: App, body: dict[str, Any]) -> list[int]:
    """Deliver a message until it is accepted, as Codat does, and return the status of each attempt."""
    statuses: list[int] = []
    webhook_id = f"msg_{uuid4().hex}"
    while not statuses or statuses[-1] != 204:
        assert len(statuses) < 5, statuses
        statuses.append(app.deliver(body, webhook_id=webhook_id).status_code)
    return statuses


@pytest.mark.parametrize("seed", SEEDS)
def test_the_newest_event_wins_and_each_is_in_the_timeline_once(
    app: App, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """GIVEN the events of several connections, shuffled and some of them twice WHEN all are delivered concurrently."""
    chance = random.Random(seed)  # noqa: S311  # to repeat, not to protect
    abouts = [{"company_id": app.customer()["companyId"], "connection_id": str(uuid4())} for _ in range(CONNECTIONS)]
    histories = [history(chance, about) for about in abouts]
    messages: list[dict[str, Any]] = []
    for events in histories:
        bodies = [body for _, body in events]
        messages += bodies + chance.choices(bodies, k=DELIVERIES - EVENTS)
    chance.shuffle(messages)
    statuses = concurrently(*(partial(delivered, app, body) for body in messages))
    record_property("attempts", dict(Counter(status for attempts in statuses for status in attempts)))
    for about, events in zip(abouts, histories, strict=True):
        items = app.items(f"COMPANY#{about['company_id']}")
        [connection] = [item for item in items if item["sk"].startswith("CONNECTION#")]
        assert connection["status"] == events[-1][0]
        entries = [item["eventId"] for item in items if item["sk"].startswith("EVENT#")]
        assert entries == [body["id"] for _, body in events]


def test_two_events_of_the_same_time_end_in_the_same_state(app: App) -> None:
    """The event id decides, not the order of arrival."""
    at = datetime.now(UTC).isoformat()
    statuses: list[str] = []
    pair: list[Any] = [("connection.connected", "0" * 8), ("connection.disconnected", "f" * 8)]
    for _ in range(8):
        about: dict[str, Any] = {"company_id": app.customer()["companyId"], "connection_id": "x"}
        bodies = [webhook_about(name, **about, generatedDate=at, id=event_id) for name, event_id in pair]
        responses = concurrently(*(partial(app.deliver, body) for body in bodies))
        assert {response.status_code for response in responses} <= {204, 503}
        for body in bodies:
            delivered(app, body)
        items = app.items(f"COMPANY#{about['company_id']}")
        statuses += [item["status"] for item in items if item["sk"].startswith("CONNECTION#")]
    assert statuses == ["Unlinked"] * 8
