"""The lists: customers, connections by status, a connection's timeline."""

from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import App
from tests.payloads import webhook, webhook_about


def pages(app: App, path: str, name: str, limit: int) -> list[list[dict[str, Any]]]:
    """Every page of a list, by its cursors."""
    found: list[list[dict[str, Any]]] = []
    cursor = None
    while True:
        separator = "&" if "?" in path else "?"
        following = f"&cursor={cursor}" if cursor else ""
        answer = app.get(f"{path}{separator}limit={limit}{following}")
        assert answer.status_code == 200, answer.text
        found.append(answer.json()[name])
        cursor = answer.json()["cursor"]
        if cursor is None:
            return found


def test_customers_are_listed_page_by_page(app: App) -> None:
    """Each once, whatever the page's size."""
    mine = {app.customer()["customerId"] for _ in range(7)}
    for limit in (2, 100):
        listed = [one["customerId"] for page in pages(app, "/customers", "customers", limit) for one in page]
        assert mine <= set(listed)
        assert len(listed) == len(set(listed))


def test_a_customer_is_found_by_its_company(app: App) -> None:
    """As Codat's return redirect names it; nobody's company finds nobody."""
    customer = app.customer()
    assert app.get(f"/customers?companyId={customer['companyId']}").json() == {"customers": [customer], "cursor": None}
    assert app.get("/customers?companyId=nobodys").json() == {"customers": [], "cursor": None}


def test_who_needs_attention(app: App) -> None:
    """Across customers, by status; what changed its status is in the new list alone."""
    linked = [app.linked(app.customer()["customerId"]) for _ in range(3)]
    app.codat.state.revoke(linked[0]["companyId"], linked[0]["connectionId"])
    app.codat.wait_idle()

    def ids(status: str) -> set[str]:
        return {
            one["connectionId"]
            for page in pages(app, f"/connections?status={status}", "connections", 2)
            for one in page
        }

    assert linked[0]["connectionId"] in ids("Deauthorized")
    assert {one["connectionId"] for one in linked[1:]} <= ids("Linked")
    assert linked[0]["connectionId"] not in ids("Linked")


def test_the_timeline_tells_who_did_what(app: App) -> None:
    """Newest first: the caller's unlink, Codat's webhooks, from what to what."""
    linked = app.linked(app.customer()["customerId"])
    path = f"/customers/{linked['customerId']}/connections/{linked['connectionId']}"
    app.post(f"{path}/unlink")
    app.codat.wait_idle()
    events = [one for page in pages(app, f"{path}/events", "events", 2) for one in page]
    assert [one["at"] for one in events] == sorted((one["at"] for one in events), reverse=True)
    told = {(one["eventType"], one["previousStatus"], one["status"], one["actor"]) for one in events}
    # Codat's webhook may be quicker than its answer to us.
    assert told & {("created", before, "PendingAuth", "caller") for before in (None, "PendingAuth")}
    assert ("connection.connected", "PendingAuth", "Linked", "webhook") in told
    assert ("unlinked", "Linked", "Unlinked", "caller") in told
    unlinked = next(one for one in events if one["eventType"] == "unlinked")
    assert unlinked["actorId"].startswith("arn:aws:sts::")
    assert all(one["actorId"].startswith("msg_") for one in events if one["actor"] == "webhook")


def test_the_initial_read_is_noted_even_without_tags_and_before_all_else(app: App) -> None:
    """From then on bills can be worked with; a connection of which nothing else is known is shown to nobody."""
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
    events = [one for one in app.get(f"{path}/events").json()["events"] if one["eventType"] == body["eventType"]]
    assert [(one["eventId"], one["applied"]) for one in events] == [(later["id"], False), (body["id"], True)]


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
        ("/customers?companyId=x&cursor=x", "cursor"),
        ("/customers?cursor=WyJDVVNUT01FUlMjMDAiLCB7InBrIjogIngifV0", "cursor"),  # pragma: allowlist secret
        ("/customers?status=Linked", "status"),
        ("/connections", "status"),
        ("/connections?status=linked", "status"),
        ("/connections?status=Deleted", "status"),
        ("/connections?status=Linked&limit=1000", "limit"),
        ("/connections?status=Linked&cursor=WyJDVVNUT01FUlMjMDAiLCBudWxsXQ", "cursor"),  # pragma: allowlist secret
    ],
)
def test_a_query_that_is_not_right_names_its_parameter(app: App, path: str, parameter: str) -> None:
    """400."""
    answer = app.get(path)
    assert (answer.status_code, answer.json()["type"]) == (400, "invalid-query")
    assert answer.json()["errors"][0]["field"] == parameter


def test_a_cursor_of_another_list_is_refused(app: App) -> None:
    """400: a cursor belongs to its list."""
    for _ in range(3):
        app.linked(app.customer()["customerId"])
    cursor = app.get("/customers?limit=1").json()["cursor"]
    assert app.get(f"/connections?status=Linked&cursor={cursor}").status_code == 400
    one = app.get("/connections?status=Linked&limit=1").json()["connections"][0]
    path = f"/customers/{one['customerId']}/connections/{one['connectionId']}/events"
    assert app.get(f"{path}?cursor={cursor}").status_code == 400
