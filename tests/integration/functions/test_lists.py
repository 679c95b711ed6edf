"""The lists: customers, connections by status, a connection's timeline."""

from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import App
from tests.payloads import webhook, webhook_about


def pages(app: App, path: str, name: str, limit: int) -> list[list[dict[str, Any]]]:
    """Return every page of a list, in order of its cursors."""
    collected: list[list[dict[str, Any]]] = []
    cursor = None
    while True:
        separator = "&" if "?" in path else "?"
        following = f"&cursor={cursor}" if cursor else ""
        response = app.get(f"{path}{separator}limit={limit}{following}")
        assert response.status_code == 200, response.text
        collected.append(response.json()[name])
        cursor = response.json()["cursor"]
        if cursor is None:
            return collected


def test_customers_are_listed_page_by_page(app: App) -> None:
    """THEN each customer is listed once, for every page size."""
    customer_ids = {app.customer()["customerId"] for _ in range(7)}
    for limit in (2, 100):
        listed = [customer["customerId"] for page in pages(app, "/customers", "customers", limit) for customer in page]
        assert customer_ids <= set(listed)
        assert len(listed) == len(set(listed))


def test_customers_can_be_filtered_by_company(app: App) -> None:
    """Codat's return redirect contains the company's id; an id without a customer gives an empty list."""
    customer = app.customer()
    assert app.get(f"/customers?companyId={customer['companyId']}").json() == {"customers": [customer], "cursor": None}
    assert app.get("/customers?companyId=unassigned").json() == {"customers": [], "cursor": None}


def test_connections_can_be_filtered_by_status(app: App) -> None:
    """GIVEN a revoked connection among others THEN it is in the list of its new status only."""
    linked = [app.linked(app.customer()["customerId"]) for _ in range(3)]
    app.codat.state.revoke(linked[0]["companyId"], linked[0]["connectionId"])
    app.codat.wait_idle()

    def ids(status: str) -> set[str]:
        return {
            connection["connectionId"]
            for page in pages(app, f"/connections?status={status}", "connections", 2)
            for connection in page
        }

    assert linked[0]["connectionId"] in ids("Deauthorized")
    assert {connection["connectionId"] for connection in linked[1:]} <= ids("Linked")
    assert linked[0]["connectionId"] not in ids("Linked")


def test_the_timeline_shows_each_change_and_its_actor(app: App) -> None:
    """THEN the entries come newest first, and contain the caller's unlink, Codat's webhooks and both statuses."""
    linked = app.linked(app.customer()["customerId"])
    path = f"/customers/{linked['customerId']}/connections/{linked['connectionId']}"
    app.post(f"{path}/unlink")
    app.codat.wait_idle()
    events = [event for page in pages(app, f"{path}/events", "events", 2) for event in page]
    assert [event["at"] for event in events] == sorted((event["at"] for event in events), reverse=True)
    changes = {(event["eventType"], event["previousStatus"], event["status"], event["actor"]) for event in events}
    # Codat's webhook may arrive before its response to our request.
    assert changes & {("created", before, "PendingAuth", "caller") for before in (None, "PendingAuth")}
    assert ("connection.connected", "PendingAuth", "Linked", "webhook") in changes
    assert ("unlinked", "Linked", "Unlinked", "caller") in changes
    unlinked = next(event for event in events if event["eventType"] == "unlinked")
    assert unlinked["actorId"].startswith("arn:aws:sts::")
    assert all(event["actorId"].startswith("msg_") for event in events if event["actor"] == "webhook")


def test_an_initial_read_without_tags_is_recorded_before_other_events(app: App) -> None:
    """GIVEN an initial read as a connection's first event THEN the API hides the connection until its status is set;
    a later initial read is added to the timeline, and does not change `initialReadAt`.
    """
    customer = app.customer()
    connection_id = "ee2eb431-c0fa-4dc9-93fa-d29781c12bcd"
    body = webhook("read.completed.initial")
    body["payload"]["referenceCompany"]["id"] = customer["companyId"]
    assert app.deliver(body).status_code == 204
    path = f"/customers/{customer['customerId']}/connections/{connection_id}"
    assert app.get(path).status_code == 404
    assert app.get(f"/customers/{customer['customerId']}").json()["connections"] == []
    about = {"company_id": customer["companyId"], "connection_id": connection_id}
    assert app.deliver(webhook_about("connection.connected", **about)).status_code == 204
    assert app.get(path).json()["initialReadAt"] == "2026-11-02T10:30:00.0000000Z"
    later = {**body, "id": str(uuid4()), "generatedDate": "2026-11-05T00:00:00Z"}
    for _ in range(2):
        assert app.deliver(later).status_code == 204
    assert app.get(path).json()["initialReadAt"] == "2026-11-02T10:30:00.0000000Z"
    timeline = app.get(f"{path}/events").json()["events"]
    events = [event for event in timeline if event["eventType"] == body["eventType"]]
    assert [(event["eventId"], event["applied"]) for event in events] == [(later["id"], False), (body["id"], True)]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/customers?limit=0", "limit"),
        ("/customers?limit=101", "limit"),
        ("/customers?limit=ten", "limit"),
        ("/customers?limit=", "limit"),
        ("/customers?limit=-1", "limit"),
        ("/customers?cursor=nonsense", "cursor"),
        ("/customers?cursor=%00", "cursor"),
        ("/customers?cursor=WzFd", "cursor"),
        ("/customers?companyId=x&cursor=x", "cursor"),
        ("/customers?cursor=WyJDVVNUT01FUlMjMDAiLCB7InBrIjogIngifV0", "cursor"),  # pragma: allowlist secret
        ("/customers?status=Linked", "status"),
        ("/connections", "status"),
        ("/connections?status=linked", "status"),
        ("/connections?status=Deleted", "status"),
        ("/connections?attention=false", "attention"),
        ("/connections?attention=true&status=Linked", "attention"),
        ("/connections?attention=true&limit=0", "limit"),
        ("/connections?attention=true&cursor=WyJTVEFUVVMjTGlua2VkIzAwIl0", "cursor"),  # pragma: allowlist secret
        ("/connections?status=Linked&limit=1000", "limit"),
        ("/connections?status=Linked&cursor=WyJDVVNUT01FUlMjMDAiLCBudWxsXQ", "cursor"),  # pragma: allowlist secret
    ],
)
def test_an_invalid_query_parameter_is_rejected_by_name(app: App, path: str, parameter: str) -> None:
    """THEN 400 with the parameter's name."""
    response = app.get(path)
    assert (response.status_code, response.json()["type"]) == (400, "invalid-query")
    assert response.json()["errors"][0]["field"] == parameter


def test_a_cursor_of_another_list_is_rejected(app: App) -> None:
    """THEN 400: a cursor belongs to its list."""
    for _ in range(3):
        app.linked(app.customer()["customerId"])
    cursor = app.get("/customers?limit=1").json()["cursor"]
    assert app.get(f"/connections?status=Linked&cursor={cursor}").status_code == 400
    connection = app.get("/connections?status=Linked&limit=1").json()["connections"][0]
    path = f"/customers/{connection['customerId']}/connections/{connection['connectionId']}/events"
    assert app.get(f"{path}?cursor={cursor}").status_code == 400
