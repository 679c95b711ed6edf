"""DELETE of customers and connections, and deletions at Codat."""

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


def path(resource: dict[str, Any]) -> str:
    """Return the path of a customer or connection."""
    customer = f"/customers/{resource['customerId']}"
    return f"{customer}/connections/{resource['connectionId']}" if "connectionId" in resource else customer


def test_a_deleted_customer_can_be_created_again(app: App) -> None:
    """THEN DELETE is 204, also when repeated, reads are 404, and the same id gets a new company."""
    linked = app.linked(app.customer()["customerId"])
    customer = {"customerId": linked["customerId"]}
    for _ in range(2):
        assert app.http.delete(path(customer)).status_code == 204
    app.codat.wait_idle()
    assert app.codat.state.companies() == []
    for deleted in (customer, linked):
        assert app.get(path(deleted)).status_code == 404
    again = app.customer(linked["customerId"])
    assert again["companyId"] != linked["companyId"]


def test_a_deletion_leaves_tombstones_without_personal_data(app: App) -> None:
    """GIVEN a deleted customer THEN its timeline is deleted, and late events don't change the tombstones, which expire
    after 30 days.
    """
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


def test_an_event_during_a_deletion_is_not_stored(app: App, dynamodb_wire: Proxy) -> None:
    """GIVEN an event about a new connection at any moment after Codat has deleted the company THEN only tombstones
    remain.
    """
    linked = app.linked(app.customer()["customerId"])
    # Codat's own webhook would delete the company during the call, at a random moment.
    app.codat.faults.add(Fault(kind="webhook-drop"))
    statuses: list[int] = []

    def deliver_late() -> None:
        body = webhook_about(
            "connection.created",
            company_id=linked["companyId"],
            connection_id=f"late-{len(statuses)}",
            tags={"uid": linked["customerId"]},
        )
        statuses.append(app.deliver(body).status_code)

    def meanwhile(exchange: Exchange) -> None:
        """Deliver the event before the request is passed on: the deletion waits for its response."""
        if exchange.operation in {"PutItem", "Query", "DeleteItem", "TransactWriteItems"} and not any(
            app.codat.state.companies()
        ):
            dynamodb_wire.always(passed_on)
            deliver_late()
            dynamodb_wire.always(meanwhile)
        passed_on(exchange)

    dynamodb_wire.always(meanwhile)
    assert app.http.delete(path({"customerId": linked["customerId"]})).status_code == 204
    dynamodb_wire.heal()
    deliver_late()
    assert len(statuses) >= 4
    assert set(statuses) == {204}
    left = app.items(f"COMPANY#{linked['companyId']}")
    assert {item["sk"].partition("#")[0] for item in left} == {"COMPANY", "CONNECTION"}
    assert all(item["expiresAt"] and "customerId" not in item for item in left)


def test_a_failed_deletion_stays_in_progress(app: App) -> None:
    """GIVEN a deletion that Codat failed THEN 502; the customer can be neither read nor created until the same call
    completes.
    """
    customer = app.customer()
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="DELETE"))
    assert app.http.delete(path(customer)).status_code == 502
    assert app.get(path(customer)).status_code == 404
    response = app.post("/customers", {"customerId": customer["customerId"], "name": "Bank of Dave"})
    assert (response.status_code, response.json()["type"]) == (409, "deletion-in-progress")
    assert int(response.headers["retry-after"]) >= 1
    app.codat.faults.remove(fault)
    assert app.http.delete(path(customer)).status_code == 204
    assert app.codat.state.companies() == []


@pytest.mark.parametrize("change", ["deleted", "tagged-by-another", "too-many-tags"])
def test_an_adoption_that_can_not_be_finished_is_deleted_at_once(app: App, change: str) -> None:
    """GIVEN an unfinished adoption WHEN the company is deleted, gets another customer's tag or too many tags THEN 204,
    nothing is stored, and the company is not changed.
    """
    company = app.codat.state.create_company(CompanyChange(name="By hand"))
    app.codat.faults.add(Fault(kind="status", status=429, retry_after=60, method="PATCH", times=1))
    body = {"customerId": "c-unfinished", "name": "Bank of Dave", "companyId": company.id}
    assert app.post("/customers", body).status_code == 429
    match change:
        case "deleted":
            app.codat.faults.add(Fault(kind="webhook-drop"))
            app.codat.state.delete_company(company.id)
        case "tagged-by-another":
            app.codat.state.change_company(company.id, CompanyChange(tags={"uid": "another-customer"}))
        case _:
            app.codat.state.change_company(company.id, CompanyChange(tags={str(tag): "x" for tag in range(10)}))
    assert app.http.delete("/customers/c-unfinished").status_code == 204
    assert app.items("CUSTOMER#") == []
    assert "c-unfinished" not in str(app.items())
    reconcile(app)
    if change != "deleted":
        assert company.tags != {}, "changes made since the adoption stay"
    assert len(app.codat.state.companies()) == (change != "deleted")


def test_deleting_a_customer_that_never_existed(app: App) -> None:
    """THEN 204; an invalid id is 404."""
    assert app.http.delete("/customers/nonexistent").status_code == 204
    assert app.http.delete("/customers/a%20b").status_code == 404


def test_a_deleted_connection_stays_readable_by_its_id(app: App) -> None:
    """THEN DELETE is 204, also when repeated; lists omit the connection, and other calls are 409."""
    linked = app.linked(app.customer()["customerId"])
    for _ in range(2):
        assert app.http.delete(path(linked)).status_code == 204
    app.codat.wait_idle()
    assert (app.read(linked)["status"], app.read(linked)["nextAction"]) == ("Deleted", "none")
    assert app.get(f"/customers/{linked['customerId']}/connections").json()["connections"] == []
    for call in ("unlink", "link"):
        response = app.post(f"{path(linked)}/{call}")
        assert (response.status_code, response.json()["type"]) == (409, "connection-deleted")
    [company] = app.codat.state.companies()
    assert not company.connections


def test_a_newer_event_about_a_deletion_wins(app: App, codat_wire: Proxy) -> None:
    """GIVEN an event that is newer than Codat's response, and stored first THEN both are in the timeline, and the state
    is the event's.
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
    newest, own, *_ = app.get(f"{path(linked)}/events").json()["events"]
    assert (newest["eventType"], newest["applied"]) == ("connection.deleted", True)
    assert (own["eventType"], own["applied"], own["actor"]) == ("deleted", False, "caller")


def test_a_deletion_with_a_lost_response_is_attributed_to_the_caller(app: App) -> None:
    """GIVEN a deletion that Codat answered with 404 on the retry THEN the timeline names the caller as the actor."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.faults.add(Fault(kind="drop", method="DELETE", when="after", times=1))
    assert app.http.delete(path(linked)).status_code == 204
    newest = app.get(f"{path(linked)}/events?limit=1").json()["events"][0]
    assert (newest["eventType"], newest["status"], newest["actor"]) == ("deleted", "Deleted", "caller")


def test_deleting_a_connection_that_does_not_exist(app: App) -> None:
    """THEN 404 if it never existed, and 204 if Codat has deleted it and the webhook was lost."""
    linked = app.linked(app.customer()["customerId"])
    assert app.http.delete(path({**linked, "connectionId": "nonexistent"})).status_code == 404
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_connection(linked["companyId"], linked["connectionId"])
    assert app.http.delete(path(linked)).status_code == 204
    assert app.read(linked)["status"] == "Deleted"


@pytest.mark.parametrize("tags", [True, False])
def test_a_company_deleted_at_codat_deletes_the_customer(app: App, *, tags: bool) -> None:
    """THEN the webhook does the same as DELETE, also without tags, and also twice."""
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


def test_the_deletion_of_an_older_company_does_not_change_the_customer(app: App) -> None:
    """GIVEN a customer that was deleted and created again, with another company THEN it stays."""
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
    """GIVEN a lease when DELETE reads the customer, and a customer when it reads the lease THEN it reads both again."""
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
            if len(reads) == 2:  # the first read is for an unfinished deletion
                table.write(put(active))
        passed_on(exchange)

    dynamodb_wire.always(completed)
    assert app.http.delete(path({"customerId": customer["customerId"]})).status_code == 204
    dynamodb_wire.heal()
    assert app.items(f"CUSTOMER#{customer['customerId']}") == []
    assert app.codat.state.companies() == []
