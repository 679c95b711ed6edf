"""Webhooks that arrive at one moment, in any order, more than once."""

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

WORDS = {
    "connection.created": "PendingAuth",
    "connection.connected": "Linked",
    "connection.disconnected": "Unlinked",
    "connection.disconnected.deauthorized": "Deauthorized",
    "connection.reconnected": "Linked",
}
"""The payloads that speak of the status, and what they say."""

CONNECTIONS = 4
EVENTS = 8
DELIVERIES = 12
SEEDS = seeds(3)


def history(chance: random.Random, about: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Events of one connection with what each says, oldest first."""
    at, told = datetime.now(UTC) - timedelta(days=1), []
    for name in chance.choices(list(WORDS), k=EVENTS):
        at += timedelta(microseconds=chance.choice([1, 999, 10**6]))
        told.append((WORDS[name], webhook_about(name, **about, generatedDate=at.isoformat())))
    return told


def delivered(app: App, body: dict[str, Any]) -> list[int]:
    """The statuses of one message's attempts: Codat sends it again until it gets a 2xx."""
    statuses: list[int] = []
    webhook_id = f"msg_{uuid4().hex}"
    while not statuses or statuses[-1] != 204:
        assert len(statuses) < 5, statuses
        statuses.append(app.deliver(body, webhook_id=webhook_id).status_code)
    return statuses


@pytest.mark.parametrize("seed", SEEDS)
def test_the_newest_stands_and_each_is_told_once(
    app: App, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """Some connections at once, each with its events shuffled and some of them twice, all at one moment."""
    chance = random.Random(seed)  # noqa: S311  # to repeat, not to protect
    abouts = [{"company_id": app.customer()["companyId"], "connection_id": str(uuid4())} for _ in range(CONNECTIONS)]
    told = [history(chance, about) for about in abouts]
    messages: list[dict[str, Any]] = []
    for events in told:
        bodies = [body for _, body in events]
        messages += bodies + chance.choices(bodies, k=DELIVERIES - EVENTS)
    chance.shuffle(messages)
    statuses = concurrently(*(partial(delivered, app, body) for body in messages))
    record_property("attempts", dict(Counter(status for of_one in statuses for status in of_one)))
    for about, events in zip(abouts, told, strict=True):
        items = app.items(f"COMPANY#{about['company_id']}")
        [register] = [item for item in items if item["sk"].startswith("CONNECTION#")]
        assert register["status"] == events[-1][0]
        entries = [item["eventId"] for item in items if item["sk"].startswith("EVENT#")]
        assert entries == [body["id"] for _, body in events]


def test_two_events_of_one_time_end_the_same_whoever_comes_first(app: App) -> None:
    """The tie is broken by the event's own id, not by arrival."""
    at = datetime.now(UTC).isoformat()
    ends: list[str] = []
    pair: list[Any] = [("connection.connected", "0" * 8), ("connection.disconnected", "f" * 8)]
    for _ in range(8):
        about: dict[str, Any] = {"company_id": app.customer()["companyId"], "connection_id": "x"}
        bodies = [webhook_about(name, **about, generatedDate=at, id=event_id) for name, event_id in pair]
        answers = concurrently(*(partial(app.deliver, body) for body in bodies))
        assert {answer.status_code for answer in answers} <= {204, 503}
        for body in bodies:
            delivered(app, body)
        items = app.items(f"COMPANY#{about['company_id']}")
        ends += [item["status"] for item in items if item["sk"].startswith("CONNECTION#")]
    assert ends == ["Unlinked"] * 8
