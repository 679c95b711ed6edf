"""PATCH /customers/{customerId}."""

from typing import Any

import pytest

from local.codat.faults import Fault
from tests.conftest import App


def change(app: App, customer: dict[str, Any], body: Any) -> Any:
    return app.http.patch(f"/customers/{customer['customerId']}", json=body)


def stored(app: App, customer: dict[str, Any]) -> dict[str, Any]:
    [item] = app.items(f"CUSTOMER#{customer['customerId']}")
    return item


def test_what_is_sent_is_changed_here_and_at_codat(app: App) -> None:
    """The rest stays; our own tag stays too."""
    customer = app.customer()
    answer = change(app, customer, {"name": "Bank of Mary", "tags": {"region": "us"}})
    assert (answer.status_code, answer.json()["name"], answer.json()["tags"]) == (200, "Bank of Mary", {"region": "us"})
    [company] = app.codat.state.companies()
    assert (company.name, company.tags) == ("Bank of Mary", {"region": "us", "uid": customer["customerId"]})
    assert change(app, customer, {"description": "A bank"}).json()["name"] == "Bank of Mary"
    assert company.description == "A bank"
    assert change(app, customer, {"description": None, "tags": {}}).json()["description"] is None
    assert (company.description or "", company.tags) == ("", {"uid": customer["customerId"]})
    assert "dirty" not in {name for name, value in stored(app, customer).items() if value}


def test_nothing_new_asks_nobody(app: App) -> None:
    """200, and Codat isn't troubled."""
    customer = app.customer()
    assert change(app, customer, {"name": customer["name"]}).status_code == 200
    assert change(app, customer, {}).status_code == 200
    assert app.codat.calls.count("PATCH", "/companies/*") == 0


def test_a_change_outlives_codats_failure(app: App) -> None:
    """The table is the truth: the change is stored, marked, and the same call brings it to Codat."""
    customer = app.customer()
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="PATCH"))
    answer = change(app, customer, {"name": "Bank of Mary"})
    assert (answer.status_code, answer.json()["type"]) == (502, "codat-unavailable")
    assert stored(app, customer)["dirty"] is True
    app.codat.faults.remove(fault)
    assert change(app, customer, {"name": "Bank of Mary"}).status_code == 200
    [company] = app.codat.state.companies()
    assert company.name == "Bank of Mary"
    assert not stored(app, customer).get("dirty")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"tags": {"uid": "x"}}, "tags"),
        ({"tags": None}, "tags"),
        ({"tags": {str(number): "x" for number in range(10)}}, "tags"),
        ({"description": 1}, "description"),
        ({"customerId": "other"}, "customerId"),
        ([], "body"),
    ],
)
def test_a_body_that_is_not_right_names_its_fields(app: App, body: Any, field: str) -> None:
    """422, and nothing has changed."""
    customer = app.customer()
    answer = change(app, customer, body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].split(".")[0] == field
    assert app.get(f"/customers/{customer['customerId']}").json() == customer


def test_what_does_not_exist_cannot_be_changed(app: App) -> None:
    """404, also where Codat has deleted the company without our hearing of it."""
    assert change(app, {"customerId": "nobody"}, {"name": "x"}).status_code == 404
    customer = app.customer()
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_company(customer["companyId"])
    answer = change(app, customer, {"name": "Bank of Mary"})
    assert (answer.status_code, answer.json()["type"]) == (404, "customer-not-found")
