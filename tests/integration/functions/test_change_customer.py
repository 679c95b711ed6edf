"""PATCH /customers/{customerId}."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.faults import Fault

from tests.change_events import events_about
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


def test_a_change_is_stored_and_sent_to_codat(app: App) -> None:
    """THEN other fields and our own tags stay as they are."""
    customer = app.customer()
    response = change(app, customer, {"name": "Bank of Mary", "tags": {"region": "us"}})
    assert (response.status_code, response.json()["name"], response.json()["tags"]) == (
        200,
        "Bank of Mary",
        {"region": "us"},
    )
    [company] = app.codat.state.companies()
    own_tags = {"uid": customer["customerId"], "creationId": company.tags["creationId"]}
    assert (company.name, company.tags) == ("Bank of Mary", {"region": "us", **own_tags})
    assert change(app, customer, {"description": "A bank"}).json()["name"] == "Bank of Mary"
    assert company.description == "A bank"
    assert change(app, customer, {"description": None, "tags": {}}).json()["description"] is None
    assert (company.description or "", company.tags) == ("", own_tags)
    assert "confirmedProfile" not in stored(app, customer)


def test_an_unchanged_profile_is_not_sent_to_codat(app: App) -> None:
    """THEN 200 without a request to Codat."""
    customer = app.customer()
    assert change(app, customer, {"name": customer["name"]}).status_code == 200
    assert change(app, customer, {}).status_code == 200
    assert app.codat.calls.count("PATCH", "/companies/*") == 0


def test_a_change_that_another_call_overtakes_is_merged_with_it(app: App, dynamodb_wire: Proxy) -> None:
    """GIVEN another change between the read and the write of this one THEN both stay."""
    customer = app.customer()

    def overtake() -> None:
        dynamodb_wire.heal()
        assert change(app, customer, {"name": "Dave & Co"}).status_code == 200

    dynamodb_wire.always(before_the_answer("POST", overtake))
    response = change(app, customer, {"tags": {"region": "us"}})
    assert (response.status_code, response.json()["name"], response.json()["tags"]) == (
        200,
        "Dave & Co",
        {"region": "us"},
    )
    [company] = app.codat.state.companies()
    assert (company.name, company.tags["region"]) == ("Dave & Co", "us")


def test_a_confirmed_change_is_not_rolled_back_with_a_later_one(
    app: App, codat_wire: Proxy, dynamodb_wire: Proxy
) -> None:
    """GIVEN a change that Codat confirms between the read and the write of the next one, which Codat rejects THEN the
    confirmed change stays.
    """
    customer = app.customer()
    has_read, is_confirmed = Event(), Event()

    def hold() -> None:
        dynamodb_wire.heal()
        has_read.set()
        is_confirmed.wait(10)

    def begin_next() -> None:
        codat_wire.heal()
        dynamodb_wire.always(before_the_answer("POST", hold))
        pending.append(calls.submit(change, app, customer, {"name": "Bank of Eve"}))
        assert has_read.wait(10)

    pending: list[Any] = []
    with ThreadPoolExecutor() as calls:
        codat_wire.always(before_the_answer("PATCH", begin_next))
        assert change(app, customer, {"name": "Bank of Mary"}).status_code == 200
        app.codat.faults.add(Fault(kind="status", status=503, method="PATCH"))
        is_confirmed.set()
        assert pending[0].result().status_code == 502
    app.codat.faults.clear()
    fault = app.codat.faults.add(Fault(kind="status", status=400, method="PATCH"))
    reconcile(app)
    app.codat.faults.remove(fault)
    assert stored(app, customer)["name"] == "Bank of Mary"


def test_a_change_survives_a_failure_of_codat(app: App) -> None:
    """GIVEN an outage of Codat THEN the change is stored as pending, and the same call sends it later."""
    customer = app.customer()
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="PATCH"))
    response = change(app, customer, {"name": "Bank of Mary"})
    assert (response.status_code, response.json()["type"]) == (502, "codat-unavailable")
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
    ],
)
def test_an_invalid_body_is_rejected_with_its_fields(app: App, body: Any, field: str) -> None:
    """THEN 422, and nothing has changed."""
    customer = app.customer()
    response = change(app, customer, body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"].split(".")[0] == field
    assert app.get(f"/customers/{customer['customerId']}").json() == customer


def test_a_customer_that_does_not_exist_cannot_be_changed(app: App) -> None:
    """THEN 404, also if Codat has deleted the company and the webhook was lost."""
    assert change(app, {"customerId": "nonexistent"}, {"name": "x"}).status_code == 404
    customer = app.customer()
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_company(customer["companyId"])
    response = change(app, customer, {"name": "Bank of Mary"})
    assert (response.status_code, response.json()["type"]) == (404, "customer-not-found")


def test_a_change_that_codat_rejects_is_rolled_back(app: App) -> None:
    """GIVEN a change that Codat answers with 400 THEN 502, the old profile, and no error in reconcile; the rollback is
    published with a higher version than the change.
    """
    customer = app.customer()
    app.codat.faults.add(Fault(kind="status", status=400, method="PATCH", times=1))
    response = change(app, customer, {"name": "Bank of Mary", "tags": {"region": "us"}})
    assert (response.status_code, response.json()["type"]) == (502, "codat-rejected")
    now = app.get(f"/customers/{customer['customerId']}").json()
    assert {**now, "updatedAt": ""} == {**customer, "updatedAt": ""}
    assert reconcile(app)["failed"] == 0
    [company] = app.codat.state.companies()
    assert company.name == customer["name"]
    assert reconcile(app)["drift"] == 0
    events = events_about(app, customer["customerId"])
    versions = [event["detail"]["version"] for event in events if event["detail-type"] == "customer.updated"]
    assert len(versions) == 2
    assert versions == sorted(versions)


def test_a_rollback_does_not_overwrite_a_newer_change(app: App, codat_wire: Proxy) -> None:
    """GIVEN another change that is stored while Codat rejects the first THEN the newer change stays."""
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


def test_only_the_rejected_of_several_pending_changes_is_rolled_back(app: App) -> None:
    """GIVEN an unconfirmed change WHEN Codat rejects the next change THEN the first stays, and is sent again later."""
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
    restored, and the next POST sets the profile instead of being a conflict.
    """
    customer = {"customerId": f"o-{uuid4()}"}
    company = adopted_orphan(app, customer["customerId"])
    app.codat.faults.add(Fault(kind="status", status=400, method="PATCH", times=1))
    assert change(app, customer, {"name": "Rejected"}).status_code == 502
    assert app.get(f"/customers/{customer['customerId']}").json()["name"] == "By hand"
    first = app.post("/customers", {**customer, "name": "Bank of Dave"})
    assert (first.status_code, first.json()["name"], company.name) == (200, "Bank of Dave", "Bank of Dave")


@pytest.mark.parametrize("status", [402, 403, 409, 422])
def test_a_change_that_fails_for_another_reason_stays_pending(app: App, status: int) -> None:
    """GIVEN an error other than 400, which doesn't concern the profile THEN reconcile sends the change again."""
    customer = app.customer()
    fault = app.codat.faults.add(Fault(kind="status", status=status, method="PATCH"))
    assert change(app, customer, {"name": "Bank of Mary"}).status_code == 502
    item = stored(app, customer)
    assert (item["name"], item["confirmedProfile"]["name"]) == ("Bank of Mary", "Bank of Dave")
    app.codat.faults.remove(fault)
    assert reconcile(app)["contentResent"] == 1
    assert [company.name for company in app.codat.state.companies()] == ["Bank of Mary"]


def test_reconcile_rolls_back_a_rejected_change_after_a_crash(app: App) -> None:
    """GIVEN a process that crashed before it sent a change WHEN Codat rejects it from reconcile THEN it is rolled back,
    and a later reconcile has nothing to repair.
    """
    customer = app.customer()
    event = api_event("change_customer", body={"name": "Rejected"}, customerId=customer["customerId"])
    assert invoke("functions.change_customer.app", event, kill_point=KillPoint("PATCH Codat", "before")).answer is None
    fault = app.codat.faults.add(Fault(kind="status", status=400, method="PATCH"))
    reconcile(app)
    app.codat.faults.remove(fault)
    assert app.get(f"/customers/{customer['customerId']}").json()["name"] == customer["name"]
    reconcile(app)
    assert reconcile(app)["drift"] == 0


def test_a_tag_that_a_late_request_restored_is_removed(app: App, codat_wire: Proxy) -> None:
    """GIVEN a PATCH that was dropped, and runs after a later PATCH THEN reconcile removes the tag that it restored."""
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
    """GIVEN a request to Codat in flight WHEN Codat rejects the same change from reconcile THEN the caller gets 502."""
    customer = app.customer()
    rejection = responds(400, {"statusCode": 400, "service": "ClientsApi", "error": "No.", "correlationId": "c-1"})

    def reject_reconcile() -> None:
        codat_wire.always(lambda exchange: (rejection if exchange.method == "PATCH" else passed_on)(exchange))
        reconcile(app)
        codat_wire.heal()

    codat_wire.always(before_the_answer("PATCH", reject_reconcile))
    response = change(app, customer, {"tags": {"region": "us"}})
    assert (response.status_code, response.json()["type"]) == (502, "codat-rejected")
    reconcile(app)
    [company] = app.codat.state.companies()
    assert (stored(app, customer)["tags"], company.tags.get("region")) == ({}, None)
