"""POST /customers with a companyId: adopt a company that exists at Codat."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.faults import Fault
from codat_simulator.models import Company
from codat_simulator.state import CompanyChange

from tests.change_events import events_about
from tests.concurrently import concurrently
from tests.conftest import App
from tests.integration.faults.proxy import Exchange, HeldBack, Proxy, before_the_answer
from tests.integration.functions.calls import adopting_orphans, reconcile
from tests.payloads import api_event, webhook_about
from tests.properties.crashes.invocation import KillPoint, invoke


def existing(app: App, **tags: str) -> Company:
    """Create a company in the portal, with a linked connection."""
    company = app.codat.state.create_company(CompanyChange(name="By hand", tags=tags))
    connection = app.codat.state.create_connection(company.id, "gbol")
    app.codat.state.link(company.id, connection.id)
    app.codat.wait_idle()
    return company


def adopt(app: App, company_id: str, customer_id: str | None = None, **profile: Any) -> Any:
    body = {"customerId": customer_id or f"c-{uuid4()}", "name": "Bank of Dave", "companyId": company_id, **profile}
    return app.post("/customers", body)


def test_an_existing_company_becomes_a_customer(app: App) -> None:
    """THEN the company is renamed and tagged, keeps its own tags, and its connections are imported."""
    company = existing(app, region="us")
    response = adopt(app, company.id, tags={"tier": "gold"})
    customer = response.json()
    assert (response.status_code, customer["companyId"]) == (201, company.id)
    assert [connection["status"] for connection in customer["connections"]] == ["Linked"]
    [only] = app.codat.state.companies()
    assert only.tags == {"region": "us", "tier": "gold", "uid": customer["customerId"]}
    assert only.name == "Bank of Dave"
    assert adopt(app, company.id, customer["customerId"], tags={"tier": "gold"}).status_code == 200


@pytest.mark.parametrize("spelled", [str.upper, lambda company_id: company_id.replace("-", "")], ids=["upper", "hex"])
def test_every_form_of_a_company_id_is_accepted(app: App, spelled: Callable[[str], str]) -> None:
    """GIVEN the id in another form of a GUID THEN it is stored as Codat writes it, and its webhooks are stored."""
    company = existing(app)
    customer = adopt(app, spelled(company.id)).json()
    assert customer["companyId"] == company.id
    [listed] = app.get(f"/customers?companyId={spelled(company.id)}").json()["customers"]
    assert listed["customerId"] == customer["customerId"]
    [connection] = customer["connections"]
    app.codat.state.revoke(company.id, connection["connectionId"])
    app.codat.wait_idle()
    assert app.read(connection)["status"] == "Deauthorized"


def test_a_company_of_another_customer_is_taken(app: App) -> None:
    """GIVEN a company with another customer's pointer or tag THEN 409, and nothing is stored."""
    customer = app.customer()
    foreign = existing(app, uid="another-customer")
    for company_id in (customer["companyId"], foreign.id):
        customer_id = f"c-{uuid4()}"
        response = adopt(app, company_id, customer_id)
        assert (response.status_code, response.json()["type"]) == (409, "company-taken")
        assert app.items(f"CUSTOMER#{customer_id}") == []


def test_a_company_that_does_not_exist_at_codat_is_rejected(app: App) -> None:
    """THEN 422 with the field's name, and the customer can be created without a companyId."""
    customer_id = f"c-{uuid4()}"
    response = adopt(app, str(uuid4()), customer_id)
    assert (response.status_code, response.json()["type"]) == (422, "company-unknown")
    assert response.json()["errors"][0]["field"] == "companyId"
    app.customer(customer_id)


def test_a_company_deleted_during_its_adoption_is_unknown(app: App, codat_wire: Proxy) -> None:
    """GIVEN a deletion after the company was read THEN 422, and nothing of the adoption remains."""
    company = app.codat.state.create_company(CompanyChange(name="By hand"))

    def delete() -> None:
        codat_wire.heal()
        app.codat.state.delete_company(company.id)

    codat_wire.always(before_the_answer("GET", delete))
    response = adopt(app, company.id, "c-1")
    assert (response.status_code, response.json()["type"]) == (422, "company-unknown")
    assert app.items("CUSTOMER#c-1") == []


def test_a_customer_has_a_single_company(app: App) -> None:
    """GIVEN a customer with another company THEN 409."""
    customer = app.customer()
    response = adopt(app, existing(app).id, customer["customerId"])
    assert (response.status_code, response.json()["type"]) == (409, "customer-conflict")
    assert "companyId" in response.json()["detail"]


def test_tags_beyond_codats_limit_are_rejected(app: App) -> None:
    """GIVEN more tags than Codat allows, the company's and the caller's together THEN 422 with the field's name."""
    company = existing(app, **{str(number): "x" for number in range(9)})
    response = adopt(app, company.id, tags={"tier": "gold"})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "tags")


@pytest.mark.parametrize("company_id", ["", "a b", "../x", 7, "x" * 65])
def test_an_invalid_company_id_is_rejected(app: App, company_id: Any) -> None:
    """THEN 422 with the field's name."""
    response = adopt(app, company_id)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "companyId")


def test_every_page_of_its_connections_is_imported(app: App) -> None:
    """Codat lists a hundred at a time."""
    company = app.codat.state.create_company(CompanyChange(name="By hand"))
    for _ in range(101):
        app.codat.state.create_connection(company.id, "gbol")
    assert len(adopt(app, company.id).json()["connections"]) == 101


def test_only_one_of_two_concurrent_adoptions_changes_the_company(app: App) -> None:
    """GIVEN an adoption that has not finished THEN a second is rejected, and its customer id is not written to the
    company or its connections.
    """
    company = existing(app)
    app.customer()  # so that the process builds its clients once
    app.codat.faults.add(Fault(kind="latency", seconds=0.5, method="PATCH", when="before"))
    responses = concurrently(lambda: adopt(app, company.id, "c-1"), lambda: adopt(app, company.id, "c-2"))
    winner = next(response.json() for response in responses if response.status_code == 201)
    assert sorted(response.status_code for response in responses) == [201, 409]
    assert app.codat.calls.count("PATCH") == 1
    assert company.tags["uid"] == winner["customerId"]
    assert {connection["customerId"] for connection in winner["connections"]} == {winner["customerId"]}


def test_an_adoption_that_failed_after_the_tag_is_resumed(app: App) -> None:
    """GIVEN an adoption that failed after the tag was written WHEN the customer is created again without a companyId
    THEN it gets the same company.
    """
    company = existing(app)
    app.codat.faults.add(Fault(kind="status", status=403, method="GET", path="/companies/*/connections", times=1))
    assert adopt(app, company.id, "c-1").status_code == 502
    assert company.tags["uid"] == "c-1"
    again = app.post("/customers", {"customerId": "c-1", "name": "Bank of Dave"})
    assert (again.status_code, again.json()["companyId"]) == (201, company.id)
    assert len(app.codat.state.companies()) == 1


def test_after_a_rejected_adoption_another_customer_can_adopt_the_company(app: App) -> None:
    """GIVEN a profile that Codat rejects THEN nothing is stored, and another customer can adopt the company."""
    company = existing(app)
    app.codat.faults.add(Fault(kind="status", status=400, method="PATCH", times=1))
    assert adopt(app, company.id, "shop-1").json()["type"] == "codat-rejected"
    assert app.items("CUSTOMER#") == []
    assert "shop-1" not in str(app.items())
    assert adopt(app, company.id, "c-2").status_code == 201


def snapshot(company: Company) -> tuple[Any, ...]:
    return company.name, company.description, dict(company.tags), list(company.connections)


FAILING = [("GET", "/companies/*"), ("PATCH", "/companies/*"), ("GET", "/companies/*/connections")]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("method", "path"), FAILING)
@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "drop", "when": "after"}])
def test_deleting_an_incomplete_adoption_restores_the_company(
    app: App, method: str, path: str, fault: dict[str, Any]
) -> None:
    """GIVEN an adoption that failed at any of its requests WHEN it is deleted THEN the company and its connection are
    as before, and no reconcile adopts the company again.
    """
    app.customer("c-0")
    company = existing(app, region="us")
    expected = snapshot(company)
    app.codat.faults.add(Fault(method=method, path=path, **fault))
    assert adopt(app, company.id, "c-1", tags={"tier": "gold"}).status_code in {502, 504}
    app.codat.faults.clear()
    assert app.http.delete("/customers/c-1").status_code == 204
    assert snapshot(company) == expected
    assert app.items("CUSTOMER#c-1") == []
    with adopting_orphans():
        reconcile(app)
    assert app.get("/customers/c-1").status_code == 404
    assert snapshot(company) == expected


def test_a_failed_discard_completes_when_repeated(app: App) -> None:
    """GIVEN an outage of Codat THEN the deletion of an incomplete adoption is 502, and completes when repeated."""
    company = existing(app, region="us")
    expected = snapshot(company)
    app.codat.faults.add(Fault(kind="status", status=503, method="GET", path="/companies/*/connections"))
    assert adopt(app, company.id, "c-1").status_code == 502
    app.codat.faults.add(Fault(kind="status", status=503, method="PUT"))
    assert app.http.delete("/customers/c-1").status_code == 502
    app.codat.faults.clear()
    assert app.http.delete("/customers/c-1").status_code == 204
    assert snapshot(company) == expected


def test_a_corrected_call_replaces_an_incomplete_adoption(app: App) -> None:
    """GIVEN a failed adoption of the wrong company WHEN the customer adopts the right company THEN the wrong company is
    as before.
    """
    wrong, right = existing(app, region="us"), existing(app, region="uk")
    expected = snapshot(wrong)
    app.codat.faults.add(Fault(kind="status", status=503, method="GET", path=f"/companies/{wrong.id}/connections"))
    assert adopt(app, wrong.id, "c-1").status_code == 502
    assert wrong.tags["uid"] == "c-1"
    response = adopt(app, right.id, "c-1")
    assert (response.status_code, response.json()["companyId"]) == (201, right.id)
    assert snapshot(wrong) == expected
    app.codat.faults.clear()
    assert adopt(app, wrong.id, "c-2").status_code == 201


def test_a_late_request_of_an_undone_adoption_is_undone_too(app: App, codat_wire: Proxy) -> None:
    """GIVEN a PATCH that was dropped, and runs after the adoption was deleted THEN reconcile restores the company, and
    does not adopt it again.
    """
    app.customer("c-0")
    company = existing(app, region="us")
    expected = snapshot(company)
    tag_late(app, codat_wire, company, "c-1")
    with adopting_orphans():
        reconcile(app)
    assert snapshot(company) == expected
    assert app.get("/customers/c-1").status_code == 404


def test_no_webhook_is_stored_before_the_adoption_is_complete(app: App) -> None:
    """GIVEN an event between reserving a company and abandoning its adoption THEN 204, and nothing is stored."""
    company, customer_id = existing(app), f"c-{uuid4()}"
    [connection] = company.connections
    app.codat.faults.add(Fault(kind="status", status=503, method="PATCH"))
    assert adopt(app, company.id, customer_id).status_code == 502
    about: dict[str, Any] = {"company_id": company.id, "connection_id": connection, "tags": {"uid": customer_id}}
    assert app.deliver(webhook_about("connection.disconnected", **about)).status_code == 204
    app.codat.faults.clear()
    assert app.http.delete(f"/customers/{customer_id}").status_code == 204
    assert [item for item in app.items(f"COMPANY#{company.id}") if item["sk"] != "COMPANY"] == []
    assert events_about(app, customer_id) == []


def test_a_repeated_call_stores_connections_missing_after_a_crash(app: App) -> None:
    """GIVEN a process that crashed after the customer was stored, before its connections were THEN the same call again
    stores them.
    """

    def adopting() -> dict[str, Any]:
        app.start_afresh()
        return {"customerId": "c-1", "name": "Bank of Dave", "companyId": existing(app).id}

    handler = "functions.create_company.app"
    exchanges = invoke(handler, api_event("create_company", body=adopting())).exchanges
    transactions = [index for index, name in enumerate(exchanges) if name == "TransactWriteItems"]
    crashes_without_connections = 0
    for index in transactions:
        body = adopting()
        assert (
            invoke(handler, api_event("create_company", body=body), kill_point=KillPoint(index, "after")).answer is None
        )
        customer = app.get("/customers/c-1")
        if customer.status_code == 404 or customer.json()["connections"]:
            continue
        crashes_without_connections += 1
        again = app.post("/customers", body)
        assert again.status_code == 200
        assert [connection["status"] for connection in again.json()["connections"]] == ["Linked"]
    assert crashes_without_connections == 1


def test_webhooks_before_an_adoption_are_not_stored(app: App) -> None:
    """GIVEN a company with another customer's tag when its webhooks arrived THEN adoption reads its connections."""
    company = existing(app, uid="another-customer")
    [connection] = company.connections
    assert app.items(f"COMPANY#{company.id}") == []
    app.codat.state.change_company(company.id, CompanyChange(tags={}))
    customer = adopt(app, company.id).json()
    assert [listed["customerId"] for listed in customer["connections"]] == [customer["customerId"]]
    events = [
        event
        for event in events_about(app, customer["customerId"])
        if event["detail"].get("connectionId") == connection
    ]
    assert [event["detail-type"] for event in events] == ["connection.created"]


def tag_late(app: App, codat_wire: Proxy, company: Company, customer_id: str) -> None:
    """Adopt and discard the company, then forward the adoption's dropped request."""
    late = HeldBack("PATCH")
    codat_wire.always(late)
    assert adopt(app, company.id, customer_id).status_code in {502, 504}
    codat_wire.heal()
    assert app.http.delete(f"/customers/{customer_id}").status_code == 204
    late.exchanges[0].forward()
    assert company.tags["uid"] == customer_id


def test_a_second_undone_adoption_restores_the_original_company(app: App, codat_wire: Proxy) -> None:
    """GIVEN an undone adoption whose late request has tagged the company WHEN the same customer adopts it again, and
    that is discarded too THEN the company is as before the first.
    """
    app.customer("c-0")
    company = existing(app, region="us")
    expected = snapshot(company)
    tag_late(app, codat_wire, company, "c-1")
    app.codat.faults.add(Fault(kind="status", status=503, method="GET", path="/companies/*/connections"))
    assert adopt(app, company.id, "c-1").status_code == 502
    app.codat.faults.clear()
    assert app.http.delete("/customers/c-1").status_code == 204
    assert snapshot(company) == expected


def test_the_marker_of_an_undone_adoption_contains_no_customer_id(app: App) -> None:
    """GIVEN an undone adoption THEN its marker contains a digest of the customer id; if the company had the customer's
    tag before, there is no marker.
    """
    untagged, tagged = existing(app), existing(app, uid="c-2")
    app.codat.faults.add(Fault(kind="status", status=503, method="GET", path="/companies/*/connections"))
    for company, customer_id in ((untagged, "c-1"), (tagged, "c-2")):
        assert adopt(app, company.id, customer_id).status_code == 502
        assert app.http.delete(f"/customers/{customer_id}").status_code == 204
    [marker] = app.items(f"COMPANY#{untagged.id}")
    assert "c-1" not in str(marker)
    assert app.items(f"COMPANY#{tagged.id}") == []


def test_a_lagging_list_does_not_restore_a_company_again(app: App, codat_wire: Proxy) -> None:
    """GIVEN an undone adoption, a new name, and a list that still shows the customer's tag THEN reconcile reads the
    company by its id, and does not change it.
    """
    app.customer("c-0")
    company = existing(app, region="us")
    app.codat.faults.add(Fault(kind="status", status=503, method="GET", path="/companies/*/connections"))
    assert adopt(app, company.id, "c-1").status_code == 502
    app.codat.faults.clear()
    assert app.http.delete("/customers/c-1").status_code == 204
    app.codat.state.change_company(company.id, CompanyChange(name="Changed since"))
    expected = snapshot(company)
    app.codat.calls.clear()

    def outdated(exchange: Exchange) -> None:
        response = exchange.forward()
        if exchange.operation == "GET /companies":
            document = json.loads(response.body)
            for entry in document["results"]:
                entry["tags"] |= {"uid": "c-1"} if entry["id"] == company.id else {}
            response = replace(response, body=json.dumps(document).encode())
        exchange.answer(response)

    codat_wire.always(outdated)
    with adopting_orphans():
        assert reconcile(app)["drift"] == 0
    assert app.codat.calls.count("PUT") == 0
    assert snapshot(company) == expected


def own_orphan(app: App, **tags: str) -> Company:
    """Create a company as this service would for c-1, but without its customer."""
    tags = {"uid": "c-1", "creationId": str(uuid4()), **tags}
    return app.codat.state.create_company(CompanyChange(name="Ours", tags=tags))


def test_deleting_an_incomplete_adoption_of_our_own_company_deletes_it(app: App) -> None:
    """Otherwise it would be an orphan that the next reconcile adopts again."""
    app.customer("c-0")
    company = own_orphan(app)
    app.codat.faults.add(Fault(kind="status", status=503, method="GET", path="/companies/*/connections"))
    assert adopt(app, company.id, "c-1").status_code == 502
    app.codat.faults.clear()
    assert app.http.delete("/customers/c-1").status_code == 204
    assert company.id not in {each.id for each in app.codat.state.companies()}


def test_a_company_whose_former_content_codat_rejects_does_not_block_its_deletion(app: App) -> None:
    """GIVEN an incomplete adoption of our own company, and a Codat that rejects the new and the former content THEN the
    deletion ends.
    """
    company = own_orphan(app)
    app.codat.faults.add(Fault(kind="status", status=503, method="PATCH", when="after"))
    assert adopt(app, company.id, "c-1").status_code == 502
    app.codat.faults.clear()
    for method in ("PATCH", "PUT"):
        app.codat.faults.add(Fault(kind="status", status=400, method=method))
    app.codat.calls.clear()
    assert app.http.delete("/customers/c-1").status_code == 204
    assert app.codat.calls.count("PUT", "/companies/*") == 1
    assert app.get("/customers/c-1").status_code == 404


def test_the_app_can_remove_tags_of_its_own_orphan(app: App) -> None:
    """GIVEN an orphan with a tag that the app once set WHEN reconcile adopts it, and the app sends its profile without
    that tag THEN Codat has only our two tags.
    """
    app.customer("c-0")
    company = own_orphan(app, plan="gold")
    assert app.stack.reconcile.run(adopt_ours=True)["straysAdopted"] == 1
    assert app.get("/customers/c-1").json()["tags"] == {"plan": "gold"}
    assert app.post("/customers", {"customerId": "c-1", "name": "Ours"}).status_code == 200
    assert set(company.tags) == {"uid", "creationId"}


def test_of_several_orphans_only_our_own_is_adopted(app: App) -> None:
    """GIVEN an older company of another app with the same tag THEN our company is adopted, and the other unchanged."""
    app.customer("c-0")
    foreign = existing(app, uid="c-1")
    expected = snapshot(foreign)
    ours = own_orphan(app)
    assert app.stack.reconcile.run(adopt_ours=True)["straysAdopted"] == 1
    assert app.get("/customers/c-1").json()["companyId"] == ours.id
    assert snapshot(foreign) == expected


def test_an_orphan_is_adopted_despite_a_mistagged_company(app: App) -> None:
    """GIVEN another customer's older company with the orphan's tag THEN the orphan is adopted."""
    other = app.customer("c-0")
    app.codat.state.change_company(other["companyId"], CompanyChange(tags={"uid": "c-1"}))
    # Otherwise reconcile would correct the tag before it looks for orphans.
    app.codat.faults.add(Fault(kind="status", status=403, method="PATCH", path=f"/companies/{other['companyId']}"))
    orphan = existing(app, uid="c-1")
    with adopting_orphans():
        reconcile(app)
    assert app.get("/customers/c-1").json()["companyId"] == orphan.id
    assert app.get("/customers/c-0").json()["companyId"] == other["companyId"]
