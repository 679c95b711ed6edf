"""PATCH /customers/{customerId}."""

from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.faults import Fault

from tests.change_events import events_about as events_of
from tests.conftest import App
from tests.integration.faults.proxy import Exchange, HeldBack, Proxy, before_the_answer, passed_on, responds
from tests.integration.functions.calls import adopted_orphan, reconcile
from tests.payloads import api_event
from tests.properties.crashes.invocation import KillPoint, invoke


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
    ours = {"uid": customer["customerId"], "creationId": company.tags["creationId"]}
    assert (company.name, company.tags) == ("Bank of Mary", {"region": "us", **ours})
    assert change(app, customer, {"description": "A bank"}).json()["name"] == "Bank of Mary"
    assert company.description == "A bank"
    assert change(app, customer, {"description": None, "tags": {}}).json()["description"] is None
    assert (company.description or "", company.tags) == ("", ours)
    assert "confirmedProfile" not in stored(app, customer)


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
    assert stored(app, customer)["confirmedProfile"]["name"] == "Bank of Dave"
    app.codat.faults.remove(fault)
    assert change(app, customer, {"name": "Bank of Mary"}).status_code == 200
    [company] = app.codat.state.companies()
    assert company.name == "Bank of Mary"
    assert "confirmedProfile" not in stored(app, customer)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"tags": {"uid": "x"}}, "tags"),
        ({"tags": None}, "tags"),
        ({"tags": {str(number): "x" for number in range(9)}}, "tags"),
        ({"tags": {"creationId": "x"}}, "tags"),
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


def events_of_kind(app: App, customer: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [event["detail"] for event in events_of(app, customer["customerId"]) if event["detail-type"] == kind]


def test_what_codat_rejects_is_rolled_back(app: App) -> None:
    """GIVEN a change that Codat answers with 400 THEN 502 with its text, the old profile, and no error in reconcile; a
    listener that keeps the highest version ends with the old profile as well.
    """
    customer = app.customer()
    app.codat.faults.add(Fault(kind="status", status=400, method="PATCH", times=1))
    answer = change(app, customer, {"name": "Bank of Mary", "tags": {"region": "us"}})
    assert (answer.status_code, answer.json()["type"]) == (502, "codat-rejected")
    now = app.get(f"/customers/{customer['customerId']}").json()
    assert {**now, "updatedAt": ""} == {**customer, "updatedAt": ""}
    found = reconcile(app)
    assert found["failed"] == 0
    [company] = app.codat.state.companies()
    assert company.name == customer["name"]
    assert reconcile(app)["drift"] == 0
    versions = [detail["version"] for detail in events_of_kind(app, customer, "customer.updated")]
    assert len(versions) == 2
    assert versions == sorted(versions)


def test_a_rejected_change_is_not_rolled_back_over_a_newer_one(app: App, codat_wire: Proxy) -> None:
    """GIVEN another change that is stored while Codat rejects the first THEN the newer one stays."""
    customer = app.customer()

    def rejected_while_changed(exchange: Exchange) -> None:
        if exchange.method == "PATCH":
            codat_wire.heal()
            assert change(app, customer, {"name": "Bank of Mary"}).status_code == 200
            responds(400, {"statusCode": 400, "error": "No.", "correlationId": "c-1"})(exchange)
        else:
            passed_on(exchange)

    codat_wire.always(rejected_while_changed)
    assert change(app, customer, {"name": "Rejected"}).status_code == 502
    assert app.get(f"/customers/{customer['customerId']}").json()["name"] == "Bank of Mary"


def test_of_several_pending_changes_the_rejected_one_is_rolled_back(app: App) -> None:
    """GIVEN a change that Codat never confirmed WHEN the next is rejected THEN the first counts, and is sent later."""
    customer = app.customer()
    app.codat.faults.add(Fault(kind="status", status=503, method="PATCH"))
    assert change(app, customer, {"name": "Never confirmed"}).status_code == 502
    app.codat.faults.clear()
    app.codat.faults.add(Fault(kind="status", status=400, method="PATCH", times=1))
    assert change(app, customer, {"name": "Rejected"}).status_code == 502
    assert app.get(f"/customers/{customer['customerId']}").json()["name"] == "Never confirmed"
    assert reconcile(app)["contentResent"] == 1
    assert [company.name for company in app.codat.state.companies()] == ["Never confirmed"]


def test_a_rejected_change_of_an_adopted_orphan_leaves_its_profile_unset(app: App) -> None:
    """GIVEN an orphan that reconcile adopted WHEN Codat rejects the first change with 400 THEN the name from Codat is
    back, and the next POST decides the profile instead of being a conflict.
    """
    customer = {"customerId": f"o-{uuid4()}"}
    company = adopted_orphan(app, customer["customerId"])
    app.codat.faults.add(Fault(kind="status", status=400, method="PATCH", times=1))
    assert change(app, customer, {"name": "Rejected"}).status_code == 502
    assert app.get(f"/customers/{customer['customerId']}").json()["name"] == "By hand"
    first = app.post("/customers", {**customer, "name": "Bank of Dave"})
    assert (first.status_code, first.json()["name"], company.name) == (200, "Bank of Dave", "Bank of Dave")


@pytest.mark.parametrize("status", [402, 403, 409, 422])
def test_a_change_that_codat_refuses_for_another_reason_stays_pending(app: App, status: int) -> None:
    """GIVEN an answer that doesn't concern the profile, because it isn't 400 THEN the change is kept, and reconcile
    sends it again.
    """
    customer = app.customer()
    fault = app.codat.faults.add(Fault(kind="status", status=status, method="PATCH"))
    assert change(app, customer, {"name": "Bank of Mary"}).status_code == 502
    item = stored(app, customer)
    assert (item["name"], item["confirmedProfile"]["name"]) == ("Bank of Mary", "Bank of Dave")
    app.codat.faults.remove(fault)
    assert reconcile(app)["contentResent"] == 1
    assert [company.name for company in app.codat.state.companies()] == ["Bank of Mary"]


def test_reconcile_rolls_back_what_its_process_could_not(app: App) -> None:
    """GIVEN a change whose process crashed before Codat rejected it THEN one reconcile fails, and no later one does."""
    customer = app.customer()
    event = api_event("change_customer", body={"name": "Rejected"}, customerId=customer["customerId"])
    assert invoke("functions.change_customer.app", event, kill_point=KillPoint("PATCH Codat", "before")).answer is None
    fault = app.codat.faults.add(Fault(kind="status", status=400, method="PATCH"))
    reconcile(app)
    app.codat.faults.remove(fault)
    assert app.get(f"/customers/{customer['customerId']}").json()["name"] == customer["name"]
    reconcile(app)
    assert reconcile(app)["drift"] == 0


def test_a_tag_that_a_late_request_brings_back_is_removed(app: App, codat_wire: Proxy) -> None:
    """GIVEN a PATCH that was dropped, and runs after a later one THEN reconcile removes what it brought back."""
    customer = app.customer()
    late = HeldBack("PATCH")
    codat_wire.always(late)
    assert change(app, customer, {"tags": {"region": "us"}}).status_code in {502, 504}
    codat_wire.heal()
    assert change(app, customer, {"tags": {}}).status_code == 200
    [company] = app.codat.state.companies()
    expected = dict(company.tags)
    late.exchanges[0].forward()
    assert company.tags == {**expected, "region": "us"}
    assert reconcile(app)["contentResent"] == 1
    assert company.tags == expected


def test_a_change_that_reconcile_has_rolled_back_is_not_acknowledged(app: App, codat_wire: Proxy) -> None:
    """GIVEN a change on its way WHEN Codat rejects the same change from reconcile THEN the caller gets 502."""
    customer = app.customer()
    rejection = responds(400, {"statusCode": 400, "service": "ClientsApi", "error": "No.", "correlationId": "c-1"})

    def reject_reconcile() -> None:
        codat_wire.always(lambda exchange: (rejection if exchange.method == "PATCH" else passed_on)(exchange))
        reconcile(app)
        codat_wire.heal()

    codat_wire.always(before_the_answer("PATCH", reject_reconcile))
    answer = change(app, customer, {"tags": {"region": "us"}})
    assert (answer.status_code, answer.json()["type"]) == (502, "codat-rejected")
    reconcile(app)
    [company] = app.codat.state.companies()
    assert (stored(app, customer)["tags"], company.tags.get("region")) == ({}, None)
