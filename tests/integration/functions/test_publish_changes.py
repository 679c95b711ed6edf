"""Change events that the table's stream publishes on the bus."""

import random
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.change_events import SCHEMAS, assert_as_documented, events_about
from tests.conftest import App
from tests.payloads import webhook_about


def run_every_change(app: App) -> dict[str, Any]:
    """Make every change to a customer and its connections, and return its last connection."""
    customer = app.customer()
    path = f"/customers/{customer['customerId']}"
    first = app.linked(customer["customerId"])
    app.http.patch(path, json={"name": "Bank of Mary"})
    app.post(f"{path}/connections/{first['connectionId']}/unlink")
    app.codat.wait_idle()
    app.http.delete(f"{path}/connections/{first['connectionId']}")
    app.codat.wait_idle()
    second = app.connection(customer["customerId"], "gbol")
    app.codat.state.cancel(second["companyId"], second["connectionId"])
    app.codat.wait_idle()
    app.codat.state.link(second["companyId"], second["connectionId"])
    app.codat.wait_idle()
    app.codat.state.revoke(second["companyId"], second["connectionId"])
    app.codat.wait_idle()
    return second


def test_every_event_matches_its_schema(app: App) -> None:
    """GIVEN every change to a customer THEN each event type of `docs/events/` is published and matches its schema."""
    connection = run_every_change(app)
    app.http.delete(f"/customers/{connection['customerId']}")
    app.codat.wait_idle()
    events = events_about(app, connection["customerId"])
    assert_as_documented(events)
    types = {event["detail-type"] for event in events}
    assert types == {path.stem for path in SCHEMAS.glob("*.json")} - {"connection.abandoned"}


def test_a_deletion_at_codat_has_the_highest_version(app: App) -> None:
    """GIVEN a company deleted in Codat's portal THEN an app that compares versions accepts its deletion events."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.state.delete_company(linked["companyId"])
    app.codat.wait_idle()
    events = events_about(app, linked["customerId"])
    assert_as_documented(events)
    assert {"customer.deleted", "connection.deleted"} <= {event["detail-type"] for event in events}


def test_a_listener_that_keeps_the_highest_versions_matches_the_api(app: App) -> None:
    """GIVEN events in any order, some of them repeated THEN an app that keeps the highest version of each customer and
    connection has the state that the API shows.
    """
    last = run_every_change(app)
    customer = app.get(f"/customers/{last['customerId']}").json()
    events = events_about(app, last["customerId"])
    chance = random.Random(4)  # noqa: S311  # for a repeatable order, not for security
    for _ in range(50):
        delivered = events + chance.sample(events, k=len(events) // 2)
        chance.shuffle(delivered)
        newest: dict[str, dict[str, Any]] = {}
        for event in delivered:
            detail = event["detail"]
            subject_id = detail.get("connectionId", detail["customerId"])
            if detail["version"] > newest.get(subject_id, {}).get("version", 0):
                newest[subject_id] = detail
        active = [item for item in newest.values() if "connectionId" in item and item["status"] != "Deleted"]
        fields = ("connectionId", "status", "nextAction", "error", "lastSync", "initialReadAt")
        assert [{name: connection[name] for name in fields} for connection in active] == [
            {name: connection[name] for name in fields} for connection in customer["connections"]
        ]


def test_each_change_that_the_api_shows_is_published(app: App) -> None:
    """GIVEN a new error, initial read or last sync THEN the newest event contains it."""
    pending = app.connection(app.customer()["customerId"])
    ids = (pending["companyId"], pending["connectionId"])

    def newest() -> dict[str, Any]:
        detail: dict[str, Any] = events_about(app, pending["customerId"])[-1]["detail"]
        return detail

    assert newest()["error"] is None
    app.codat.state.cancel(*ids)
    app.codat.wait_idle()
    assert newest()["error"] == app.read(pending)["error"] is not None

    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    linked = webhook_about("connection.connected", company_id=ids[0], connection_id=ids[1], generatedDate=now)
    app.deliver(linked)
    assert (newest()["status"], newest()["initialReadAt"]) == ("Linked", None)
    app.codat.state.connection(*ids).status = "Linked"
    app.codat.state.finish_initial_read(*ids)
    app.codat.wait_idle()
    assert newest()["initialReadAt"] == app.read(pending)["initialReadAt"] is not None

    linked["payload"]["connection"]["lastSync"] = "2026-11-22T10:00:00Z"
    app.deliver(linked | {"id": str(uuid4()), "generatedDate": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"})
    assert newest()["lastSync"] == app.read(pending)["lastSync"] is not None


def test_unchanged_state_is_not_published(app: App) -> None:
    """GIVEN fresh links and a repeated webhook THEN no event is published."""
    linked = app.linked(app.customer()["customerId"])
    path = f"/customers/{linked['customerId']}/connections"
    # The first link call reads the time of the last sync, which no webhook contained.
    app.post(f"{path}/{linked['connectionId']}/link")
    before = events_about(app, linked["customerId"])
    app.post(path, {"platformKey": "qhyg"})
    app.post(f"{path}/{linked['connectionId']}/link")
    app.codat.webhooks.resend(app.codat.webhooks.deliveries[0])
    app.codat.wait_idle()
    assert events_about(app, linked["customerId"]) == before


def test_events_that_the_bus_throttles_are_published_again(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """GIVEN throttled entries THEN they and those that follow are published, and the log contains the error code."""
    app.stack.bus.fail(3)
    linked = app.linked(app.customer()["customerId"])
    events = events_about(app, linked["customerId"])
    types = [event["detail-type"] for event in events]
    assert {"customer.created", "connection.created", "connection.updated"} <= set(types)
    newest = [event for event in events if "connectionId" in event["detail"]][-1]
    assert newest["detail"]["status"] == "Linked"
    [error_codes] = {
        str(vars(line)["error_codes"]) for line in caplog.records if line.message == "changes not published"
    }
    assert error_codes == "['ThrottlingException']"


def test_versions_grow_when_a_customer_is_created_again(app: App) -> None:
    """GIVEN a deleted customer that is created again THEN its version is higher, or listeners would ignore it."""
    customer_id = app.customer()["customerId"]
    app.http.delete(f"/customers/{customer_id}")
    app.customer(customer_id)
    versions = [event["detail"]["version"] for event in events_about(app, customer_id)]
    types = [event["detail-type"] for event in events_about(app, customer_id)]
    assert types == ["customer.created", "customer.deleted", "customer.created"]
    assert versions == sorted(set(versions))


def test_the_bus_is_served_locally(app: App) -> None:
    """THEN /_local/events returns each event as a rule's target receives it."""
    customer_id = app.customer()["customerId"]
    served = httpx.get(f"{app.stack.url}/_local/events").json()
    [event] = [event for event in served if event["detail"]["customerId"] == customer_id]
    assert (event["source"], event["detail-type"]) == ("codat.customers", "customer.created")
