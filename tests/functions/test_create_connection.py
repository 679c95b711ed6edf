"""POST /customers/{customerId}/connections."""

from typing import Any

import httpx
import pytest

from local.codat.faults import Fault
from tests.conftest import App


def test_a_pending_connection_is_reused_with_a_fresh_link(app: App) -> None:
    """The same call again answers 200 with the same connection, and a link that was not used yet."""
    first = app.connection(app.customer()["customerId"])
    answer = app.post(f"/customers/{first['customerId']}/connections", {"platformKey": "qhyg"})
    again = answer.json()
    assert (answer.status_code, again["connectionId"]) == (200, first["connectionId"])
    assert again["linkUrl"] != first["linkUrl"]
    assert httpx.post(again["linkUrl"], data={"action": "authorize"}).is_success
    assert app.codat.calls.count("POST", "/companies/*/connections") == 1


def test_a_linked_connection_of_the_same_platform_is_reused(app: App) -> None:
    """200 with the linked one."""
    linked = app.linked(app.customer()["customerId"])
    answer = app.post(f"/customers/{linked['customerId']}/connections", {"platformKey": "qhyg"})
    assert (answer.status_code, answer.json()["connectionId"]) == (200, linked["connectionId"])
    assert answer.json()["status"] == "Linked"


def test_an_unlinked_connection_is_linked_again(app: App) -> None:
    """Unlinking keeps the connection; its fresh link brings it back."""
    linked = app.linked(app.customer()["customerId"])
    path = f"/customers/{linked['customerId']}/connections"
    app.post(f"{path}/{linked['connectionId']}/unlink")
    answer = app.post(path, {"platformKey": "qhyg"}).json()
    assert (answer["connectionId"], answer["status"]) == (linked["connectionId"], "Unlinked")
    assert httpx.post(answer["linkUrl"], data={"action": "authorize"}).is_success
    app.codat.wait_idle()
    assert app.read(linked)["status"] == "Linked"


def test_another_linked_accounting_platform_stands_in_the_way(app: App) -> None:
    """One accounting platform at a time; the problem names the one that is linked."""
    linked = app.linked(app.customer()["customerId"])
    path = f"/customers/{linked['customerId']}/connections"
    answer = app.post(path, {"platformKey": "gbol"})
    assert (answer.status_code, answer.json()["type"]) == (409, "accounting-connection-exists")
    assert linked["connectionId"] in answer.json()["detail"]
    app.post(f"{path}/{linked['connectionId']}/unlink")
    assert app.post(path, {"platformKey": "gbol"}).status_code == 201


def test_a_connection_that_codat_lost_is_replaced(app: App) -> None:
    """Codat answers 404 for the stored connection: it becomes Deleted, and a new one is made."""
    old = app.connection(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_connection(old["companyId"], old["connectionId"])
    new = app.post(f"/customers/{old['customerId']}/connections", {"platformKey": "qhyg"})
    assert new.status_code == 201
    assert app.read(old)["status"] == "Deleted"
    listed = app.get(f"/customers/{old['customerId']}/connections").json()["connections"]
    assert [one["connectionId"] for one in listed] == [new.json()["connectionId"]]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["status", "drop"])
def test_a_creation_outlives_failures_of_codat(app: App, kind: Any, when: Any) -> None:
    """A 500 or a dropped connection, before or after the work, ends in one connection within the same call."""
    customer = app.customer()
    app.codat.faults.add(
        Fault(kind=kind, status=500, when=when, method="POST", path="/companies/*/connections", times=1)
    )
    answer = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": "knfz"})
    assert answer.status_code == 201
    assert answer.json()["linkUrl"]
    [company] = app.codat.state.companies()
    assert list(company.connections) == [answer.json()["connectionId"]]
    assert not [item for item in app.items() if item["sk"].startswith("CREATING#") and item["pk"].endswith(company.id)]


@pytest.mark.parametrize("key", ["nope", "mqjo", "", "qhyg ", "QHYG", "x" * 101])
def test_a_platform_that_is_not_on_offer(app: App, key: str) -> None:
    """422 that lists what is on offer; Codat's sandbox is not, unless the deployment allows it."""
    customer = app.customer()
    answer = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": key})
    assert answer.status_code == 422
    if len(key) <= 100:
        assert answer.json()["type"] == "unknown-platform"
        assert "QuickBooks Online" in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "platformKey"


@pytest.mark.parametrize("customer_id", ["unknown", "a b", "a" * 200, "%2e%2e"])
def test_a_customer_that_does_not_exist(app: App, customer_id: str) -> None:
    """404, also for what can be nobody's id."""
    answer = app.post(f"/customers/{customer_id}/connections", {"platformKey": "qhyg"})
    assert (answer.status_code, answer.json()["type"]) == (404, "customer-not-found")


@pytest.mark.parametrize("body", [{}, {"platformKey": 7}, {"platformKey": "qhyg", "more": 1}, []])
def test_a_body_that_is_not_right(app: App, body: Any) -> None:
    """422, naming the field."""
    answer = app.post(f"/customers/{app.customer()['customerId']}/connections", body)
    assert (answer.status_code, answer.json()["type"]) == (422, "validation-error")
