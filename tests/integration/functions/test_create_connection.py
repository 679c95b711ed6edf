"""POST /customers/{customerId}/connections."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from codat_simulator.faults import Fault

from tests.concurrently import concurrently
from tests.conftest import App
from tests.integration.faults.proxy import Exchange, Proxy, before_the_answer
from tests.integration.functions.calls import lose_webhooks


def test_a_pending_connection_is_reused_with_a_fresh_link(app: App) -> None:
    """THEN the same call again is 200 with the same connection and an unused link."""
    first = app.connection(app.customer()["customerId"])
    response = app.post(f"/customers/{first['customerId']}/connections", {"platformKey": "qhyg"})
    again = response.json()
    assert (response.status_code, again["connectionId"]) == (200, first["connectionId"])
    assert again["linkUrl"] != first["linkUrl"]
    assert httpx.post(again["linkUrl"], data={"action": "authorize"}).is_success
    assert app.codat.calls.count("POST", "/companies/*/connections") == 1


def test_a_linked_connection_of_the_same_platform_is_reused(app: App) -> None:
    """THEN 200 with the linked connection."""
    linked = app.linked(app.customer()["customerId"])
    response = app.post(f"/customers/{linked['customerId']}/connections", {"platformKey": "qhyg"})
    assert (response.status_code, response.json()["connectionId"]) == (200, linked["connectionId"])
    assert response.json()["status"] == "Linked"


def test_an_unlinked_connection_is_linked_again(app: App) -> None:
    """GIVEN an unlinked connection THEN it is returned with a fresh link, which links it again."""
    linked = app.linked(app.customer()["customerId"])
    path = f"/customers/{linked['customerId']}/connections"
    app.post(f"{path}/{linked['connectionId']}/unlink")
    response = app.post(path, {"platformKey": "qhyg"}).json()
    assert (response["connectionId"], response["status"]) == (linked["connectionId"], "Unlinked")
    assert httpx.post(response["linkUrl"], data={"action": "authorize"}).is_success
    app.codat.wait_idle()
    assert app.read(linked)["status"] == "Linked"


def test_a_second_accounting_platform_is_rejected(app: App) -> None:
    """GIVEN a linked accounting platform THEN 409 with its connection's id; after an unlink 201."""
    linked = app.linked(app.customer()["customerId"])
    path = f"/customers/{linked['customerId']}/connections"
    response = app.post(path, {"platformKey": "gbol"})
    assert (response.status_code, response.json()["type"]) == (409, "accounting-connection-exists")
    assert linked["connectionId"] in response.json()["detail"]
    app.post(f"{path}/{linked['connectionId']}/unlink")
    assert app.post(path, {"platformKey": "gbol"}).status_code == 201


def test_a_connection_that_codat_lost_is_replaced(app: App) -> None:
    """GIVEN a stored connection that Codat answers with 404 THEN it becomes Deleted, and another is created."""
    old = app.connection(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_connection(old["companyId"], old["connectionId"])
    new = app.post(f"/customers/{old['customerId']}/connections", {"platformKey": "qhyg"})
    assert new.status_code == 201
    assert app.read(old)["status"] == "Deleted"
    listed = app.get(f"/customers/{old['customerId']}/connections").json()["connections"]
    assert [connection["connectionId"] for connection in listed] == [new.json()["connectionId"]]


@pytest.mark.parametrize(("kind", "when"), [("status", "after"), ("drop", "before"), ("drop", "after")])
def test_a_creation_survives_a_failure_within_the_same_call(app: App, kind: Any, when: Any) -> None:
    """GIVEN a 500 after the work, or a dropped request THEN a single connection is created, and no lease remains."""
    customer = app.customer()
    app.codat.faults.add(
        Fault(kind=kind, status=500, when=when, method="POST", path="/companies/*/connections", times=1)
    )
    response = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": "knfz"})
    assert response.status_code == 201
    assert response.json()["linkUrl"]
    [company] = app.codat.state.companies()
    assert list(company.connections) == [response.json()["connectionId"]]
    assert not [item for item in app.items() if item["sk"].startswith("CREATING#") and item["pk"].endswith(company.id)]


@pytest.mark.parametrize("key", ["nope", "mqjo", "", "qhyg ", "QHYG", "x" * 101])
def test_a_platform_that_is_not_offered_is_rejected(app: App, key: str) -> None:
    """THEN 422 with the offered platforms; Codat's sandbox is not offered by default."""
    customer = app.customer()
    response = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": key})
    assert response.status_code == 422
    if len(key) <= 100:
        assert response.json()["type"] == "unknown-platform"
        assert "QuickBooks Online" in response.json()["detail"]
    assert response.json()["errors"][0]["field"] == "platformKey"


@pytest.mark.parametrize("customer_id", ["unknown", "a b", "a" * 200, "%2e%2e"])
def test_a_customer_that_does_not_exist(app: App, customer_id: str) -> None:
    """THEN 404, also for an invalid id."""
    response = app.post(f"/customers/{customer_id}/connections", {"platformKey": "qhyg"})
    assert (response.status_code, response.json()["type"]) == (404, "customer-not-found")


@pytest.mark.parametrize("body", [{}, {"platformKey": 7}, {"platformKey": "qhyg", "more": 1}])
def test_an_invalid_body_is_rejected(app: App, body: Any) -> None:
    """THEN 422."""
    response = app.post(f"/customers/{app.customer()['customerId']}/connections", body)
    assert (response.status_code, response.json()["type"]) == (422, "validation-error")


def test_a_connection_made_on_the_hosted_page_is_reused(app: App) -> None:
    """GIVEN a connection whose webhooks have not arrived THEN it is returned, and no second is created."""
    customer = app.customer()
    lose_webhooks(app)
    existing = app.codat.state.create_connection(customer["companyId"], "qhyg")
    response = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": "qhyg"})
    assert (response.status_code, response.json()["connectionId"]) == (200, existing.id)
    [company] = app.codat.state.companies()
    assert list(company.connections) == [existing.id]


def test_a_platform_linked_on_the_hosted_page_prevents_a_second(app: App) -> None:
    """GIVEN another linked platform whose webhooks have not arrived THEN 409."""
    customer = app.customer()
    lose_webhooks(app)
    linked = app.codat.state.create_connection(customer["companyId"], "gbol")
    app.codat.state.link(customer["companyId"], linked.id)
    response = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": "qhyg"})
    assert (response.status_code, response.json()["type"]) == (409, "accounting-connection-exists")
    assert linked.id in response.json()["detail"]
    assert app.read({**customer, "connectionId": linked.id})["status"] == "Linked"


@pytest.mark.parametrize("change", ["revoke", "unlink", "delete_connection"])
def test_an_outdated_status_does_not_prevent_another_platform(app: App, change: str) -> None:
    """GIVEN a platform that is stored as Linked, but no longer linked at Codat THEN another platform is connected."""
    linked = app.linked(app.customer()["customerId"], "gbol")
    lose_webhooks(app)
    getattr(app.codat.state, change)(linked["companyId"], linked["connectionId"])
    response = app.post(f"/customers/{linked['customerId']}/connections", {"platformKey": "qhyg"})
    assert response.status_code == 201
    assert app.read(linked)["status"] != "Linked"


def test_every_page_of_the_list_is_read(app: App) -> None:
    """GIVEN a linked platform on the second page of Codat's list THEN 409."""
    customer = app.customer()
    lose_webhooks(app)
    for _ in range(100):
        app.codat.state.create_connection(customer["companyId"], "pdvj")
    linked = app.codat.state.create_connection(customer["companyId"], "gbol")
    app.codat.state.link(customer["companyId"], linked.id)
    response = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": "qhyg"})
    assert response.status_code == 409


def test_a_stored_connection_missing_from_the_list_is_read_by_its_id(app: App) -> None:
    """GIVEN a list that lags THEN the connection that was just created is reused."""
    app.codat.state.list_lag = 60.0
    first = app.connection(app.customer()["customerId"])
    again = app.post(f"/customers/{first['customerId']}/connections", {"platformKey": "qhyg"})
    assert (again.status_code, again.json()["connectionId"]) == (200, first["connectionId"])


def test_a_connection_without_its_platform_key_is_recognised(app: App) -> None:
    """GIVEN a response without `integrationKey`, which is optional THEN the requested key is stored."""
    app.codat.serializer.omit_integration_key = True
    first = app.connection(app.customer()["customerId"])
    assert first["platformKey"] == "qhyg"
    path = f"/customers/{first['customerId']}/connections"
    again = app.post(path, {"platformKey": "qhyg"})
    assert (again.status_code, again.json()["connectionId"]) == (200, first["connectionId"])
    assert app.post(path, {"platformKey": "gbol"}).json()["connectionId"] != first["connectionId"]
    assert app.read(first)["platformKey"] == "qhyg"


def test_a_hosted_page_connection_without_its_key_is_recognised_by_name(app: App) -> None:
    """GIVEN a connection from the hosted page without a key THEN the key of its platform's name is stored."""
    app.codat.serializer.omit_integration_key = True
    customer = app.customer()
    existing = app.codat.state.create_connection(customer["companyId"], "qhyg")
    app.codat.wait_idle()
    response = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": "qhyg"})
    assert (response.status_code, response.json()["connectionId"]) == (200, existing.id)
    assert app.read(response.json())["platformKey"] == "qhyg"


@pytest.mark.parametrize(("hidden", "status"), [("gbol", 201), ("qhyg", 502)])
def test_a_malformed_connection_matters_only_if_it_may_be_on_the_platform(
    app: App, codat_wire: Proxy, hidden: str, status: int
) -> None:
    """GIVEN a listed connection that breaks Codat's contract THEN 502 if it may be on the same platform, to prevent a
    duplicate; otherwise 201.
    """
    customer = app.customer()
    lose_webhooks(app)
    app.codat.state.create_connection(customer["companyId"], hidden)

    def unparseable(exchange: Exchange) -> None:
        response = exchange.forward()
        if exchange.operation.startswith("GET") and exchange.operation.endswith("/connections"):
            document = json.loads(response.body)
            for connection in document["results"]:
                connection["status"] = "SomethingNew"
            response = replace(response, body=json.dumps(document).encode())
        exchange.answer(response)

    codat_wire.always(unparseable)
    response = app.post(f"/customers/{customer['customerId']}/connections", {"platformKey": "qhyg"})
    assert response.status_code == status


def test_a_connection_deleted_while_it_is_reused_is_replaced(app: App, codat_wire: Proxy) -> None:
    """GIVEN a deletion between Codat's list and the read that fetches a link THEN another connection is created."""
    old = app.connection(app.customer()["customerId"])
    lose_webhooks(app)

    def delete() -> None:
        codat_wire.heal()
        app.codat.state.delete_connection(old["companyId"], old["connectionId"])

    codat_wire.always(before_the_answer("GET", delete))
    new = app.post(f"/customers/{old['customerId']}/connections", {"platformKey": "qhyg"})
    assert new.status_code == 201
    assert new.json()["connectionId"] != old["connectionId"]
    assert app.read(old)["status"] == "Deleted"


def test_a_customer_deleted_during_the_creation_leaves_tombstones_that_expire(app: App, codat_wire: Proxy) -> None:
    """GIVEN a deletion, and the webhook, before Codat's answer arrives THEN 404, and nothing stays for ever."""
    customer = app.customer("acme")

    def delete() -> None:
        codat_wire.heal()
        app.codat.wait_idle()
        assert app.http.delete("/customers/acme").status_code == 204

    codat_wire.always(before_the_answer("POST", delete))
    response = app.post("/customers/acme/connections", {"platformKey": "qhyg"})
    assert (response.status_code, response.json()["type"]) == (404, "customer-not-found")
    left = app.items(f"COMPANY#{customer['companyId']}")
    assert {item["sk"].partition("#")[0] for item in left} == {"COMPANY", "CONNECTION"}
    assert all("expiresAt" in item for item in left)


def test_concurrent_calls_create_a_single_connection(app: App) -> None:
    """GIVEN eight calls at the same moment THEN a single 201, because Codat's list is read under the lease."""
    customer = app.customer()
    path = f"/customers/{customer['customerId']}/connections"
    responses = concurrently(*[lambda: app.post(path, {"platformKey": "qhyg"})] * 8)
    assert {response.status_code for response in responses} <= {200, 201, 409}
    assert [response.status_code for response in responses].count(201) == 1
    [company] = app.codat.state.companies()
    assert len(company.connections) == 1
