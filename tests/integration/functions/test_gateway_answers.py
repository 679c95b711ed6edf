"""Errors from a gateway before Codat: only Codat's own error document proves the state of a company or connection."""

import json
from typing import Any

import pytest
from codat_simulator.faults import Fault

from tests.conftest import App
from tests.integration.faults.proxy import Behaviour, Exchange, Proxy, passed_on, responds
from tests.integration.functions.calls import lose_webhooks, reconcile

PAGE = b"<html><body><h1>404 Not Found</h1></body></html>"
GATEWAY_404 = responds(404, PAGE, content_type="text/html")
"""All other forms are in tests/unit/codat/test_transport.py."""

# Waits between the attempts of a request take no time.
pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/connections/{connectionId}/unlink"),
        ("POST", "/connections/{connectionId}/link"),
        ("DELETE", "/connections/{connectionId}"),
        ("POST", "/connections"),
        ("PATCH", ""),
        ("DELETE", ""),
    ],
)
@pytest.mark.parametrize("page", [GATEWAY_404, responds(404, {"statusCode": 404, "error": "x"})], ids=["page", "json"])
def test_a_gateways_404_deletes_nothing(app: App, codat_wire: Proxy, page: Behaviour, method: str, path: str) -> None:
    """GIVEN a 404 that isn't Codat's document THEN 502, and customer and connection stay as they were."""
    linked = app.linked(app.customer()["customerId"])
    body = {"PATCH": {"name": "Bank of Mary"}}.get(method, {"platformKey": "gbol"} if path == "/connections" else None)
    codat_wire.always(page)
    response = app.http.request(method, f"/customers/{linked['customerId']}{path.format(**linked)}", json=body)
    assert (response.status_code, response.json()["type"]) == (502, "codat-unavailable")
    codat_wire.heal()
    if (method, path) != ("DELETE", ""):
        assert app.read(linked)["status"] == "Linked"
    assert len(app.codat.state.companies()) == 1
    # The same call completes.
    again = app.http.request(method, f"/customers/{linked['customerId']}{path.format(**linked)}", json=body)
    assert again.status_code in {200, 204, 409}, again.text


def test_after_a_gateways_404_a_deleted_customer_gets_no_second_company(app: App, codat_wire: Proxy) -> None:
    """GIVEN a DELETE that a gateway answered THEN the company still exists, and the id can't be used again yet."""
    customer = app.customer()
    codat_wire.always(GATEWAY_404)
    assert app.http.delete(f"/customers/{customer['customerId']}").status_code == 502
    codat_wire.heal()
    response = app.post("/customers", {"customerId": customer["customerId"], "name": "Bank of Dave"})
    assert (response.status_code, response.json()["type"]) == (409, "deletion-in-progress")
    assert len(app.codat.state.companies()) == 1


def test_a_wrong_path_in_the_base_url_deletes_nothing(app: App, codat_wire: Proxy) -> None:
    """GIVEN an HTTP server without Codat's routes THEN a reconcile fails, and nothing has changed."""
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)

    def only_company_lists(exchange: Exchange) -> None:
        (passed_on if exchange.path.startswith("/companies?") else GATEWAY_404)(exchange)

    codat_wire.always(GATEWAY_404)
    assert app.post("/_local/reconcile").status_code >= 500
    codat_wire.always(only_company_lists)
    assert reconcile(app)["drift"] == 0
    assert app.read(linked)["status"] == "Linked"


@pytest.mark.parametrize("status", [400, 402, 403, 409, 422, 500, 502])
def test_a_gateways_error_does_not_settle_a_creation(app: App, codat_wire: Proxy, status: int) -> None:
    """GIVEN a creation that Codat completes while a gateway answers with an error THEN 201 and a single company."""
    body = {"customerId": "c-1", "name": "Bank of Dave"}

    def created_and_rejected(exchange: Exchange) -> None:
        if exchange.operation == "POST /companies":
            exchange.forward()
            codat_wire.heal()
            responds(status, PAGE)(exchange)
        else:
            passed_on(exchange)

    app.customer()  # the deployment's first, so that its API key is trusted
    codat_wire.always(created_and_rejected)
    response = app.post("/customers", body)
    assert response.status_code == 201
    assert [company.tags["uid"] for company in app.codat.state.companies()].count("c-1") == 1


@pytest.mark.parametrize("document", [b"Unauthorized", json.dumps({"statusCode": 401, "error": "x"}).encode()])
def test_a_401_of_a_gateway_settles_a_creation(app: App, codat_wire: Proxy, document: Any) -> None:
    """A 401 is sent before any work, by Codat or a gateway, so the creation is discarded."""
    app.customer()
    codat_wire.always(responds(401, document))
    response = app.post("/customers", {"customerId": "c-1", "name": "Bank of Dave"})
    assert (response.status_code, response.json()["type"]) == (502, "codat-rejected-credentials")
    assert app.items("CUSTOMER#c-1") == []


def test_a_429_of_a_gateway_is_passed_on(app: App, codat_wire: Proxy) -> None:
    """THEN 429 with the gateway's `Retry-After`."""
    app.customer()
    codat_wire.always(responds(429, b"slow down", retry_after="60"))
    response = app.post("/customers", {"customerId": "c-1", "name": "Bank of Dave"})
    assert (response.status_code, response.headers["retry-after"]) == (429, "60")


def test_the_error_of_a_gateway_is_not_shown(app: App, codat_wire: Proxy) -> None:
    """GIVEN a gateway's page, which may contain secrets THEN the response has only the status and what to check."""
    customer = app.customer()
    codat_wire.always(responds(404, b"<html>secret-page</html>"))
    response = app.post(f"/customers/{customer['customerId']}/link")
    assert "secret-page" not in response.text
    assert "404" in response.json()["detail"]
    assert "CodatBaseUrl" in response.json()["detail"]


@pytest.mark.parametrize("path", ["", "/connections/{connectionId}"])
def test_a_deletion_that_a_gateway_confirms_is_not_believed(app: App, codat_wire: Proxy, path: str) -> None:
    """GIVEN a 204 in place of Codat's THEN 502, because Codat still has it; the repeated call deletes it."""
    linked = app.linked(app.customer()["customerId"])
    url = f"/customers/{linked['customerId']}" + path.format(**linked)

    def confirmed(exchange: Exchange) -> None:
        (responds(204, b"") if exchange.method == "DELETE" else passed_on)(exchange)

    codat_wire.always(confirmed)
    response = app.http.delete(url)
    assert (response.status_code, response.json()["type"]) == (502, "codat-unavailable")
    assert "still returns" in response.json()["detail"]
    codat_wire.heal()
    assert app.http.delete(url).status_code == 204
    assert all(company.connections == {} for company in app.codat.state.companies())


def test_a_page_from_the_simulator_counts_as_a_gateways(app: App) -> None:
    """GIVEN a fault with `page` THEN the simulator answers as a gateway, and the connection stays."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="status", status=404, page=True, method="GET", path="/companies/**"))
    response = app.post(f"/customers/{linked['customerId']}/connections/{linked['connectionId']}/link")
    assert response.status_code == 502
    assert app.read(linked)["status"] == "Linked"
