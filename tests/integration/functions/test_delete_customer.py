"""DELETE of customers and connections, and what Codat deletes itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from codat_simulator.faults import Fault
from codat_simulator.state import CompanyChange

from shared.domain.timestamps import timestamp_of
from shared.store.table import Table, put
from tests.conftest import App
from tests.integration.faults.proxy import Exchange, Proxy, before_the_answer, passed_on
from tests.integration.functions.calls import reconcile
from tests.payloads import webhook, webhook_about


def path(thing: dict[str, Any]) -> str:
    customer = f"/customers/{thing['customerId']}"
    return f"{customer}/connections/{thing['connectionId']}" if "connectionId" in thing else customer


def test_a_deleted_customer_is_gone_and_can_come_back(app: App) -> None:
    """204, also when repeated; 404 afterwards; the same id then makes a new company."""
    linked = app.linked(app.customer()["customerId"])
    customer = {"customerId": linked["customerId"]}
    for _ in range(2):
        assert app.http.delete(path(customer)).status_code == 204
    app.codat.wait_idle()
    assert app.codat.state.companies() == []
    for gone in (customer, linked):
        assert app.get(path(gone)).status_code == 404
    again = app.customer(linked["customerId"])
    assert again["companyId"] != linked["companyId"]


def test_what_is_left_is_a_tombstone_without_personal_data(app: App) -> None:
    """For 30 days, so that a late event can't bring anything back; the timeline goes at once."""
    linked = app.linked(app.customer()["customerId"])
    app.http.delete(path({"customerId": linked["customerId"]}))
    app.codat.wait_idle()
    assert app.items(f"CUSTOMER#{linked['customerId']}") == []
    left = app.items(f"COMPANY#{linked['companyId']}")
    assert {item["sk"] for item in left} == {"COMPANY", f"CONNECTION#{linked['connectionId']}"}
    assert all(item["expiresAt"] for item in left)
    assert linked["customerId"] not in str(left)
    late = webhook_about(
        "connection.connected",
        company_id=linked["companyId"],
        connection_id=linked["connectionId"],
        tags={"uid": linked["customerId"]},
        generatedDate="2026-11-22T00:00:00Z",
    )
    unknown = webhook_about(
        "connection.created",
        company_id=linked["companyId"],
        connection_id="7e9a1c9e-0000-4000-8000-000000000000",
        tags={"uid": linked["customerId"]},
    )
    for body in (late, unknown):
        assert app.deliver(body).status_code == 204
    assert app.items(f"COMPANY#{linked['companyId']}") == left


def test_an_event_that_comes_while_a_customer_is_deleted_brings_nothing_back(app: App, dynamodb_wire: Proxy) -> None:
    """At any moment after Codat has deleted the company: what it says of a new connection is late."""
    linked = app.linked(app.customer()["customerId"])
    # Codat's own webhook would end the company beside the call, at another moment each time.
    app.codat.faults.add(Fault(kind="webhook-drop"))
    told: list[int] = []

    def late() -> None:
        body = webhook_about(
            "connection.created",
            company_id=linked["companyId"],
            connection_id=f"late-{len(told)}",
            tags={"uid": linked["customerId"]},
        )
        told.append(app.deliver(body).status_code)

    def meanwhile(exchange: Exchange) -> None:
        """Before the answer is given: what deletes waits for it."""
        if exchange.operation in {"PutItem", "Query", "BatchWriteItem"} and not any(app.codat.state.companies()):
            dynamodb_wire.always(passed_on)
            late()
            dynamodb_wire.always(meanwhile)
        passed_on(exchange)

    dynamodb_wire.always(meanwhile)
    assert app.http.delete(path({"customerId": linked["customerId"]})).status_code == 204
    dynamodb_wire.heal()
    late()
    assert len(told) >= 4
    assert set(told) == {204}
    left = app.items(f"COMPANY#{linked['companyId']}")
    assert {item["sk"].partition("#")[0] for item in left} == {"COMPANY", "CONNECTION"}
    assert all(item["expiresAt"] and "customerId" not in item for item in left)


def test_a_deletion_that_codat_fails_is_a_state(app: App) -> None:
    """502, then the customer is neither there nor free; the same call, repeated, completes."""
    customer = app.customer()
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="DELETE"))
    assert app.http.delete(path(customer)).status_code == 502
    assert app.get(path(customer)).status_code == 404
    answer = app.post("/customers", {"customerId": customer["customerId"], "name": "Bank of Dave"})
    assert (answer.status_code, answer.json()["type"]) == (409, "deletion-in-progress")
    assert int(answer.headers["retry-after"]) >= 1
    app.codat.faults.remove(fault)
    assert app.http.delete(path(customer)).status_code == 204
    assert app.codat.state.companies() == []


@pytest.mark.parametrize("became", ["deleted", "anothers", "too-full"])
def test_an_adoption_that_can_not_be_finished_leaves_nothing_to_delete(app: App, became: str) -> None:
    """204 at once: the customer never came to be, and the company, where there is one, is not ours."""
    company = app.codat.state.create_company(CompanyChange(name="By hand"))
    app.codat.faults.add(Fault(kind="status", status=429, retry_after=60, method="PATCH", times=1))
    body = {"customerId": "c-unfinished", "name": "Bank of Dave", "companyId": company.id}
    assert app.post("/customers", body).status_code == 429
    match became:
        case "deleted":
            app.codat.faults.add(Fault(kind="webhook-drop"))
            app.codat.state.delete_company(company.id)
        case "anothers":
            app.codat.state.change_company(company.id, CompanyChange(tags={"uid": "somebody-else"}))
        case _:
            app.codat.state.change_company(company.id, CompanyChange(tags={str(tag): "x" for tag in range(10)}))
    assert app.http.delete("/customers/c-unfinished").status_code == 204
    assert app.items("CUSTOMER#") == []
    assert "c-unfinished" not in str(app.items())
    reconcile(app)
    if became != "deleted":
        assert company.tags != {}, "what others have changed since stays"
    assert len(app.codat.state.companies()) == (became != "deleted")


def test_deleting_what_never_was(app: App) -> None:
    """204: it is not there."""
    assert app.http.delete("/customers/nobody").status_code == 204
    assert app.http.delete("/customers/a%20b").status_code == 404


def test_a_deleted_connection_stays_readable_by_its_id(app: App) -> None:
    """204, also when repeated; Deleted by id, absent from lists, and final for every other call."""
    linked = app.linked(app.customer()["customerId"])
    for _ in range(2):
        assert app.http.delete(path(linked)).status_code == 204
    app.codat.wait_idle()
    assert (app.read(linked)["status"], app.read(linked)["nextAction"]) == ("Deleted", "none")
    assert app.get(f"/customers/{linked['customerId']}/connections").json()["connections"] == []
    for call in ("unlink", "link"):
        answer = app.post(f"{path(linked)}/{call}")
        assert (answer.status_code, answer.json()["type"]) == (409, "connection-deleted")
    [company] = app.codat.state.companies()
    assert not company.connections


def test_a_newer_event_about_a_deletion_wins(app: App, codat_wire: Proxy) -> None:
    """GIVEN Codat's event, dated after its answer, and stored first THEN both are in the timeline, and the state is the
    event's.
    """
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    at = datetime.now(UTC) + timedelta(minutes=2)
    event = webhook_about(
        "connection.deleted",
        company_id=linked["companyId"],
        connection_id=linked["connectionId"],
        generatedDate=at.isoformat(),
    )

    def overtake() -> None:
        assert app.deliver(event).status_code == 204

    codat_wire.always(before_the_answer("DELETE", overtake))
    assert app.http.delete(path(linked)).status_code == 204
    assert app.read(linked)["asOf"] == timestamp_of(at)
    newest, ours, *_ = app.get(f"{path(linked)}/events").json()["events"]
    assert (newest["eventType"], newest["applied"]) == ("connection.deleted", True)
    assert (ours["eventType"], ours["applied"], ours["actor"]) == ("deleted", False, "caller")


def test_a_deletion_whose_answer_was_lost_is_the_callers(app: App) -> None:
    """Its timeline says who deleted it, though Codat's second answer was that it is gone."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.faults.add(Fault(kind="drop", method="DELETE", when="after", times=1))
    assert app.http.delete(path(linked)).status_code == 204
    newest = app.get(f"{path(linked)}/events?limit=1").json()["events"][0]
    assert (newest["eventType"], newest["status"], newest["actor"]) == ("deleted", "Deleted", "caller")


def test_deleting_a_connection_that_is_not_there(app: App) -> None:
    """404 for one that never was; 204 for one that Codat has deleted without our hearing of it."""
    linked = app.linked(app.customer()["customerId"])
    assert app.http.delete(path({**linked, "connectionId": "nothing"})).status_code == 404
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_connection(linked["companyId"], linked["connectionId"])
    assert app.http.delete(path(linked)).status_code == 204
    assert app.read(linked)["status"] == "Deleted"


@pytest.mark.parametrize("tags", [True, False])
def test_a_company_deleted_at_codat_ends_the_customer(app: App, *, tags: bool) -> None:
    """Its webhook does what DELETE does, also without tags, also twice."""
    linked = app.linked(app.customer()["customerId"])
    body = webhook("company.deleted")
    body["payload"]["id"] = linked["companyId"]
    body["payload"]["tags"] = {"uid": linked["customerId"]} if tags else None
    for _ in range(2):
        assert app.deliver(body).status_code == 204
    assert app.get(path({"customerId": linked["customerId"]})).status_code == 404
    assert {item["sk"] for item in app.items(f"COMPANY#{linked['companyId']}")} == {
        "COMPANY",
        f"CONNECTION#{linked['connectionId']}",
    }


def test_the_end_of_an_older_company_leaves_the_customer_alone(app: App) -> None:
    """A customer that was deleted and created again has another company."""
    first = app.customer()
    app.http.delete(path(first))
    again = app.customer(first["customerId"])
    body = webhook("company.deleted")
    body["payload"] |= {"id": first["companyId"], "tags": {"uid": first["customerId"]}}
    assert app.deliver(body).status_code == 204
    assert app.get(path(again)).json() == again


def test_a_creation_that_completes_between_the_reads_of_a_deletion_is_deleted_too(
    app: App, dynamodb_wire: Proxy
) -> None:
    """GIVEN a lease when DELETE looks for a customer, and a customer when it looks for a lease THEN it looks again."""
    customer = app.customer()
    [active] = app.items(f"CUSTOMER#{customer['customerId']}")
    creating = {
        **{name: value for name, value in active.items() if name not in {"companyId", "version"}},
        "state": "creating",
        "creationId": "c",
        "idempotencyKey": "k",
        "keyIssuedAt": 0,
        "isSettled": True,
        "leaseOwner": "o",
        "leaseUntil": 0,
    }
    table = Table(app.stack.dynamodb, app.stack.table_name)
    table.write(put(creating))
    reads: list[str] = []

    def completed(exchange: Exchange) -> None:
        if exchange.operation == "GetItem" and customer["customerId"].encode() in exchange.body:
            reads.append(exchange.operation)
            if len(reads) == 2:  # after the one for a deletion
                table.write(put(active))
        passed_on(exchange)

    dynamodb_wire.always(completed)
    assert app.http.delete(path({"customerId": customer["customerId"]})).status_code == 204
    dynamodb_wire.heal()
    assert app.items(f"CUSTOMER#{customer['customerId']}") == []
    assert app.codat.state.companies() == []
