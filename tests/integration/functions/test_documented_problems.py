"""Problems that docs/openapi.json documents for a route and that no other test causes there."""

import pytest
from codat_simulator.faults import Fault
from codat_simulator.state import CompanyChange

from shared.bootstrap import codat as bootstrap
from tests.conftest import App
from tests.integration.functions.calls import lose_webhooks

NOWHERE = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/events"), ("POST", "/link"), ("POST", "/unlink"), ("DELETE", "")]
)
def test_a_customer_or_connection_does_not_exist(app: App, method: str, path: str) -> None:
    """THEN 404 that says which of them."""
    customer_id = app.customer()["customerId"]
    for owner, problem in (("nobody", "customer-not-found"), (customer_id, "connection-not-found")):
        response = app.http.request(method, f"/customers/{owner}/connections/{NOWHERE}{path}")
        assert (response.status_code, response.json()["type"]) == (404, problem)


def test_an_adopted_companys_tags_count_when_it_is_changed(app: App) -> None:
    """GIVEN five tags that the company had before WHEN eight are sent THEN 422, and nothing has changed."""
    existing = {f"theirs{number}": "x" for number in range(5)}
    company = app.codat.state.create_company(CompanyChange(name="By hand", tags=existing))
    created = app.post("/customers", {"customerId": "c-1", "name": "By hand", "companyId": company.id})
    assert created.status_code == 201, created.text
    response = app.http.patch("/customers/c-1", json={"tags": {f"ours{number}": "x" for number in range(8)}})
    assert (response.status_code, response.json()["type"]) == (422, "too-many-tags")
    assert app.get("/customers/c-1").json()["tags"] == {}


@pytest.mark.usefixtures("clock")  # waits between retries take no time
def test_a_pending_change_finds_out_that_the_company_was_deleted(app: App) -> None:
    """GIVEN a change that Codat did not get, and a company that was deleted WHEN the creation is repeated THEN 404."""
    customer = app.customer("c-1")
    outage = app.codat.faults.add(Fault(kind="status", status=503))
    assert app.http.patch("/customers/c-1", json={"name": "Bank of Mary"}).status_code == 502
    app.codat.faults.remove(outage)
    lose_webhooks(app)
    app.codat.state.delete_company(customer["companyId"])
    response = app.post("/customers", {"customerId": "c-1", "name": "Bank of Mary"})
    assert (response.status_code, response.json()["type"]) == (404, "customer-not-found")


def test_a_repeated_adoption_finds_out_that_the_company_was_deleted(app: App) -> None:
    """THEN 502 with Codat's answer."""
    company = app.codat.state.create_company(CompanyChange(name="By hand"))
    body = {"customerId": "c-1", "name": "By hand", "companyId": company.id}
    assert app.post("/customers", body).status_code == 201
    lose_webhooks(app)
    app.codat.state.delete_company(company.id)
    response = app.post("/customers", body)
    assert (response.status_code, response.json()["type"]) == (502, "codat-not-found")


def test_a_bug_is_an_internal_error(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """THEN 500 with a request id, and without the cause."""
    monkeypatch.setattr(bootstrap, "context", lambda _: 1 / 0)
    response = app.get("/platforms")
    assert (response.status_code, response.json()["type"]) == (500, "internal-error")
    assert "division" not in response.text
    assert response.json()["requestId"]
