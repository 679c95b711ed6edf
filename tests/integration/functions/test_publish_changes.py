"""The table's stream on the bus: what an app that only listens gets to know."""

import random
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.change_events import SCHEMAS, assert_as_documented, events_about
from tests.conftest import App
from tests.payloads import webhook_about


def a_life(app: App) -> dict[str, Any]:
    """A customer through everything that can happen to it; gives its last connection."""
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


def test_every_event_is_as_its_schema_says(app: App) -> None:
    """Each detail type of a whole life is put, and holds no more and no less than `docs/events/` says."""
    life = a_life(app)
    app.http.delete(f"/customers/{life['customerId']}")
    app.codat.wait_idle()
    events = events_about(app, life["customerId"])
    assert_as_documented(events)
    types = {event["detail-type"] for event in events}
    assert types == {path.stem for path in SCHEMAS.glob("*.json")} - {"connection.abandoned"}


def test_a_deletion_by_codat_stands_above_all_before(app: App) -> None:
    """GIVEN a company deleted in Codat's portal THEN who follows versions does not ignore its customer's last event."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.state.delete_company(linked["companyId"])
    app.codat.wait_idle()
    events = events_about(app, linked["customerId"])
    assert_as_documented(events)
    assert {"customer.deleted", "connection.deleted"} <= {event["detail-type"] for event in events}


def test_a_listener_ends_with_the_state_of_the_table(app: App) -> None:
    """However the bus shuffles and repeats: by following the versions, the app has what the API shows."""
    life = a_life(app)
    customer = app.get(f"/customers/{life['customerId']}").json()
    events = events_about(app, life["customerId"])
    chance = random.Random(4)  # noqa: S311  # to repeat, not to protect
    for _ in range(50):
        delivered = events + chance.sample(events, k=len(events) // 2)
        chance.shuffle(delivered)
        known: dict[str, dict[str, Any]] = {}
        for event in delivered:
            detail = event["detail"]
            thing = detail.get("connectionId", detail["customerId"])
            if detail["version"] > known.get(thing, {}).get("version", 0):
                known[thing] = {**detail, "type": event["detail-type"]}
        live = [one for one in known.values() if "connectionId" in one and one["status"] != "Deleted"]
        shown = {
            "connectionId": "connectionId",
            "status": "status",
            "nextAction": "nextAction",
            "error": "error",
            "lastSync": "lastSync",
            "initialReadAt": "initialReadAt",
        }
        assert [{name: one[name] for name in shown} for one in live] == [
            {name: one[field] for name, field in shown.items()} for one in customer["connections"]
        ]


def test_whatever_an_app_can_see_is_told(app: App) -> None:
    """GIVEN one more thing that changes by itself: a reason, the first read, the last sync THEN the newest has it."""
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


def test_what_changes_nothing_is_not_told(app: App) -> None:
    """Stale and repeated reports, fresh links and settled copies are nobody's news."""
    linked = app.linked(app.customer()["customerId"])
    path = f"/customers/{linked['customerId']}/connections"
    # The first look finds when the data was last synced, which no webhook told.
    app.post(f"{path}/{linked['connectionId']}/link")
    before = events_about(app, linked["customerId"])
    app.post(path, {"platformKey": "qhyg"})
    app.post(f"{path}/{linked['connectionId']}/link")
    app.codat.webhooks.resend(app.codat.webhooks.deliveries[0])
    app.codat.wait_idle()
    assert events_about(app, linked["customerId"]) == before


def test_what_the_bus_does_not_take_is_put_again(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """A throttled entry is not lost, nor are those that follow it; the log says why it was not taken."""
    app.stack.background.bus.fail(3)
    linked = app.linked(app.customer()["customerId"])
    events = events_about(app, linked["customerId"])
    types = [event["detail-type"] for event in events]
    assert {"customer.created", "connection.created", "connection.updated"} <= set(types)
    newest = [event for event in events if "connectionId" in event["detail"]][-1]
    assert newest["detail"]["status"] == "Linked"
    [why] = {str(vars(line)["error_codes"]) for line in caplog.records if line.message == "changes not published"}
    assert why == "['ThrottlingException']"


def test_a_customer_that_comes_back_is_above_the_one_that_went(app: App) -> None:
    """Versions grow over a deletion, or a listener would ignore the new customer for good."""
    customer_id = app.customer()["customerId"]
    app.http.delete(f"/customers/{customer_id}")
    app.customer(customer_id)
    versions = [event["detail"]["version"] for event in events_about(app, customer_id)]
    types = [event["detail-type"] for event in events_about(app, customer_id)]
    assert types == ["customer.created", "customer.deleted", "customer.created"]
    assert versions == sorted(set(versions))


def test_the_bus_is_served_locally(app: App) -> None:
    """As a rule's target would get it."""
    customer_id = app.customer()["customerId"]
    served = httpx.get(f"{app.stack.url}/_local/events").json()
    [event] = [one for one in served if one["detail"]["customerId"] == customer_id]
    assert (event["source"], event["detail-type"]) == ("codat.customers", "customer.created")
