"""Healing: the table and Codat compared, through the real plan, messages and batches."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from time import sleep
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.faults import Fault
from codat_simulator.state import CompanyChange

from shared.runtime import clock
from shared.store.table import Table, put
from tests.change_events import assert_as_documented, events_about
from tests.concurrently import concurrently
from tests.conftest import App, Clock
from tests.integration.faults.proxy import Exchange, Proxy, passed_on, responds
from tests.integration.functions.calls import (
    adopted_orphan,
    adopting_orphans,
    lose_webhooks,
    matches_codat,
    measured,
    reconcile,
)
from tests.payloads import api_event
from tests.properties.crashes.invocation import KillPoint, invoke


def test_whatever_webhooks_were_lost_is_healed(app: App) -> None:
    """Linked, revoked, unlinked, deleted, made in the portal: afterwards the table has what Codat has."""
    customers = [app.customer()["customerId"] for _ in range(5)]
    pending = app.connection(customers[0])
    revoked, unlinked, deleted = (app.linked(customer) for customer in customers[1:4])
    lose_webhooks(app)
    state = app.codat.state
    state.link(pending["companyId"], pending["connectionId"])
    state.revoke(revoked["companyId"], revoked["connectionId"])
    state.unlink(unlinked["companyId"], unlinked["connectionId"])
    state.delete_connection(deleted["companyId"], deleted["connectionId"])
    by_hand = app.get(f"/customers/{customers[4]}").json()["companyId"]
    state.create_connection(by_hand, "gbol")
    counts = reconcile(app)
    assert (counts["companies"], counts["connections"], counts["drift"], counts["failed"]) == (5, 5, 5, 0)
    assert all(matches_codat(app, customer) for customer in customers)
    assert app.read(deleted)["status"] == "Deleted"
    assert reconcile(app)["drift"] == 0


def test_a_company_that_codat_deleted_ends_its_customer(app: App) -> None:
    """Asked for by its id first; then gone, and free for a new one."""
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.delete_company(linked["companyId"])
    assert reconcile(app)["companiesDeleted"] == 1
    assert app.get(f"/customers/{linked['customerId']}").status_code == 404
    app.customer(linked["customerId"])


def test_what_stayed_dirty_is_sent_again(app: App) -> None:
    """A change that Codat did not take, and a tag that somebody removed there."""
    changed, untagged = app.customer(), app.customer()
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="PATCH"))
    app.http.patch(f"/customers/{changed['customerId']}", json={"name": "Bank of Mary"})
    app.codat.faults.remove(fault)
    app.codat.state.change_company(untagged["companyId"], CompanyChange(name="By hand", tags={"region": "us"}))
    counts = reconcile(app)
    assert (counts["contentResent"], counts["drift"]) == (2, 2)
    assert app.codat.state.company(changed["companyId"]).name == "Bank of Mary"
    assert app.codat.state.company(untagged["companyId"]).tags["uid"] == untagged["customerId"]
    assert reconcile(app)["drift"] == 0


@pytest.mark.parametrize("ill", ["fails", "unreadable", "refuses"])
def test_one_company_that_codat_can_not_tell_hides_no_other(
    app: App, capsys: pytest.CaptureFixture[str], ill: str
) -> None:
    """GIVEN a batch with one whose company Codat fails to read, tells in a way that can't be read, or does not change
    THEN the others are healed, what was found of them is counted, and the message comes back for the one.
    """
    bad = app.customer()
    linked = [app.linked(app.customer()["customerId"]) for _ in range(2)]
    lose_webhooks(app)
    company = app.codat.state.company(bad["companyId"])
    untagged = CompanyChange(name="By hand", tags={})
    match ill:
        case "fails":
            app.codat.state.change_company(company.id, untagged)
            app.codat.faults.add(Fault(kind="status", status=403, method="GET", path=f"/companies/{company.id}"))
        case "unreadable":
            company.name = 5  # type: ignore[assignment]
        case _:
            app.codat.state.change_company(company.id, untagged)
            app.codat.faults.add(Fault(kind="status", status=400, method="PATCH", path=f"/companies/{company.id}"))
    for one in linked:
        app.codat.state.revoke(one["companyId"], one["connectionId"])
    capsys.readouterr()
    counts = reconcile(app)
    assert [app.read(one)["status"] for one in linked] == ["Deauthorized"] * 2
    assert (counts["drift"], counts["failed"] >= 1) == (2, True)
    assert sum(measured(capsys.readouterr().out)["DriftFound",]) == 2


def test_a_query_stays_within_what_codat_takes(app: App) -> None:
    """However long the ids are: 2,048 characters, where `:` and `@` take three each."""
    for number in range(12):
        app.customer(f"{number:02}{':@' * 49}")
    app.codat.calls.clear()
    assert reconcile(app)["companies"] == 12
    queries = [call.query for call in app.codat.calls.list("GET", "/companies") if "tags=" in call.query]
    assert len(queries) >= 2
    assert max(map(len, queries)) <= 2048


def test_what_a_list_leaves_out_is_asked_for_by_its_id(app: App, codat_wire: Proxy) -> None:
    """GIVEN a company shown without its connections THEN they are not deleted by that alone."""

    def without_connections(exchange: Exchange) -> None:
        answer = exchange.forward()
        if exchange.operation == "GET /companies":
            told = json.loads(answer.body)
            for company in told["results"]:
                company["dataConnections"] = []
            answer = replace(answer, body=json.dumps(told).encode())
        exchange.answer(answer)

    linked = app.linked(app.customer()["customerId"])
    codat_wire.always(without_connections)
    assert reconcile(app)["drift"] == 0
    assert app.read(linked)["status"] == "Linked"


def test_a_lagging_list_sends_no_profile_again(app: App, codat_wire: Proxy) -> None:
    """GIVEN a list that shows the name of before THEN the company, read by its id, says that nothing is to be done."""

    def outdated(exchange: Exchange) -> None:
        answer = exchange.forward()
        if exchange.operation == "GET /companies":
            answer = replace(answer, body=answer.body.replace(b"Bank of Dave", b"Bank of Mary"))
        exchange.answer(answer)

    app.customer()
    codat_wire.always(outdated)
    assert reconcile(app)["drift"] == 0
    assert app.codat.calls.count("PATCH") == 0


def test_a_batch_without_any_company_still_finishes_what_was_begun(app: App) -> None:
    """GIVEN six customers whose companies Codat doesn't show, and an unfinished deletion THEN the deletion is finished,
    and no other customer is deleted.
    """
    customers = [app.customer() for _ in range(6)]
    deleting = app.customer()
    lose_webhooks(app)
    for customer in customers:
        app.codat.state.delete_company(customer["companyId"])
    app.codat.faults.add(Fault(kind="status", status=403, method="DELETE", times=1))
    assert app.http.delete(f"/customers/{deleting['customerId']}").status_code == 502
    app.codat.state.delete_company(deleting["companyId"])
    assert reconcile(app)["failed"] >= 1
    assert app.items(f"CUSTOMER#{deleting['customerId']}") == []
    assert {app.get(f"/customers/{customer['customerId']}").status_code for customer in customers} == {200}


def test_a_customer_that_came_back_meanwhile_is_let_alone(app: App) -> None:
    """GIVEN two unfinished deletions WHEN the second is repeated and the customer created again while the first is
    being finished THEN nobody has asked to delete the new one.
    """
    ids = [app.customer()["customerId"] for _ in range(2)]
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="DELETE"))
    for customer_id in ids:
        app.http.delete(f"/customers/{customer_id}")
    app.codat.faults.remove(fault)
    app.codat.faults.add(Fault(kind="latency", seconds=1.5, method="DELETE", times=1))

    with ThreadPoolExecutor() as threads:
        app.codat.calls.clear()
        walk = threads.submit(reconcile, app)
        while not app.codat.calls.count("DELETE"):
            sleep(0.01)
        answers = [app.http.delete(f"/customers/{customer_id}").status_code for customer_id in ids]
        [free] = [customer_id for customer_id, answer in zip(ids, answers, strict=True) if answer == 204]
        app.customer(free)
        walk.result()

    assert sorted(answers) == [204, 409]
    assert app.get(f"/customers/{free}").status_code == 200
    assert app.codat.state.company(app.get(f"/customers/{free}").json()["companyId"])


def test_an_unfinished_deletion_is_finished(app: App) -> None:
    """Codat failed it, and nobody repeated the call."""
    customer = app.customer()
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="DELETE"))
    app.http.delete(f"/customers/{customer['customerId']}")
    app.codat.faults.remove(fault)
    assert reconcile(app)["deletionsFinished"] == 1
    assert app.codat.state.companies() == []
    assert app.items(f"CUSTOMER#{customer['customerId']}") == []


def test_strays_are_counted_and_left_alone(app: App) -> None:
    """Companies with our tag that we don't have may be another app's: adopted only where the deployment says so."""
    app.codat.state.create_company(CompanyChange(name="Stray", tags={"uid": f"s-{uuid4()}"}))
    app.codat.state.create_company(CompanyChange(name="Foreign", tags={}))
    counts = reconcile(app)
    assert (counts["strays"], counts.get("straysAdopted", 0), counts["drift"]) == (1, 0, 0)


def test_strays_are_adopted_where_that_is_wanted(app: App) -> None:
    """With their connections; the first POST then sets their content, and is no conflict."""
    customer_id = f"s-{uuid4()}"
    lose_webhooks(app)
    company = app.codat.state.create_company(CompanyChange(name="Stray", tags={"uid": customer_id}))
    connection = app.codat.state.create_connection(company.id, "gbol")
    app.codat.state.link(company.id, connection.id)
    with adopting_orphans():
        assert reconcile(app)["straysAdopted"] == 1
    adopted = app.get(f"/customers/{customer_id}").json()
    assert (adopted["companyId"], adopted["name"]) == (company.id, "Stray")
    assert [one["status"] for one in adopted["connections"]] == ["Linked"]
    first = app.post("/customers", {"customerId": customer_id, "name": "Bank of Dave"})
    assert (first.status_code, first.json()["name"]) == (200, "Bank of Dave")
    assert app.codat.state.company(company.id).name == "Bank of Dave"
    assert app.post("/customers", {"customerId": customer_id, "name": "Else"}).status_code == 409


def test_the_first_content_of_a_stray_reaches_codat_though_its_process_dies(app: App) -> None:
    """It is stored before Codat is asked: the same call, repeated, brings it there."""
    customer_id = f"s-{uuid4()}"
    company = adopted_orphan(app, customer_id)
    event = api_event("create_company", body={"customerId": customer_id, "name": "Bank of Dave"})
    assert invoke("functions.create_company.app", event, kill_point=KillPoint("PATCH Codat", "before")).answer is None
    assert invoke("functions.create_company.app", event).status == 200
    assert company.name == "Bank of Dave"


def test_the_first_content_of_a_stray_may_be_said_by_many_at_once(app: App) -> None:
    """The same call, made eight times at one moment: each gets the customer."""
    customer_id = f"s-{uuid4()}"
    adopted_orphan(app, customer_id)
    body = {"customerId": customer_id, "name": "Bank of Dave"}
    answers = concurrently(*[lambda: app.post("/customers", body)] * 8)
    assert [(answer.status_code, answer.json()["name"]) for answer in answers] == [(200, "Bank of Dave")] * 8


def test_a_connection_that_names_another_customer_is_put_right(app: App) -> None:
    """Two may have been after one company: its connections are whose it is, and the bus says so."""
    linked = app.linked(app.customer()["customerId"])
    table = Table(app.stack.dynamodb, app.stack.table_name)
    items = app.items(f"COMPANY#{linked['companyId']}")
    [item] = [item for item in items if item["sk"].startswith("CONNECTION#")]
    table.write(put({**item, "customerId": "somebody-else", "version": item["version"] + 1}))
    assert reconcile(app)["drift"] == 1
    assert app.read(linked)["customerId"] == linked["customerId"]
    newest = events_about(app, linked["customerId"])[-1]
    assert (newest["detail-type"], newest["detail"]["version"]) == ("connection.updated", item["version"] + 2)


def test_of_two_strays_the_oldest_is_adopted(app: App) -> None:
    """Whichever Codat lists first; the other stays as it is."""
    customer_id = f"s-{uuid4()}"
    listed_first, oldest = (
        app.codat.state.create_company(CompanyChange(name=name, tags={"uid": customer_id})) for name in ("New", "Old")
    )
    oldest.created = listed_first.created - timedelta(days=1)
    with adopting_orphans():
        assert reconcile(app)["straysAdopted"] == 1
    assert app.get(f"/customers/{customer_id}").json()["companyId"] == oldest.id
    assert len(app.codat.state.companies()) == 2


def test_an_abandoned_link_is_reported_once(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven days after the customer gave up, as an event on the bus."""
    pending = app.connection(app.customer()["customerId"])
    app.codat.state.cancel(pending["companyId"], pending["connectionId"])
    app.codat.wait_idle()
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(days=8))
    assert reconcile(app)["abandoned"] == 1
    assert reconcile(app)["abandoned"] == 1
    monkeypatch.undo()
    events = events_about(app, pending["customerId"])
    assert_as_documented(events)
    assert [event["detail-type"] for event in events].count("connection.abandoned") == 1


def test_a_fresh_link_ends_an_abandonment(app: App, clock: Clock) -> None:
    """GIVEN an abandoned link WHEN the app gets a fresh one THEN `error` is cleared, and a new episode begins."""
    pending = app.connection(app.customer()["customerId"])
    path = f"/customers/{pending['customerId']}/connections"
    for fresh in (f"{path}/{pending['connectionId']}/link", path):
        clock.advance(8 * 86_400)
        assert reconcile(app)["abandoned"] == 1
        assert "not used in time" in app.read(pending)["error"]
        body = {"platformKey": "qhyg"} if fresh == path else None
        assert app.post(fresh, body).status_code == 200
        assert app.read(pending)["error"] is None
        assert reconcile(app).get("abandoned", 0) == 0
    clock.advance(8 * 86_400)
    reconcile(app)
    types = [event["detail-type"] for event in events_about(app, pending["customerId"])]
    assert types.count("connection.abandoned") == 3


def test_a_link_that_is_issued_during_a_reconcile_is_not_abandoned(app: App, clock: Clock, codat_wire: Proxy) -> None:
    """GIVEN a link that was not used for 8 days WHEN the app gets a fresh one after reconcile has read the table THEN
    the connection is not marked as abandoned, and no event is published.
    """
    pending = app.connection(app.customer()["customerId"])
    clock.advance(8 * 86_400)

    def issued_meanwhile(exchange: Exchange) -> None:
        if "tags=" in exchange.path:
            codat_wire.heal()
            path = f"/customers/{pending['customerId']}/connections/{pending['connectionId']}/link"
            assert app.post(path).status_code == 200
        passed_on(exchange)

    codat_wire.always(issued_meanwhile)
    reconcile(app)
    assert app.read(pending)["error"] is None
    assert "connection.abandoned" not in {event["detail-type"] for event in events_about(app, pending["customerId"])}


@pytest.mark.parametrize("cause", ["rejects", "forbids", "misses", "fails"])
def test_a_tag_query_that_fails_hides_no_customer(app: App, codat_wire: Proxy, cause: str) -> None:
    """GIVEN a Codat that rejects the query, or answers it with what can't be parsed THEN each is read by its id."""
    linked = [app.linked(app.customer()["customerId"]) for _ in range(3)]
    lose_webhooks(app)
    for connection in linked:
        app.codat.state.revoke(connection["companyId"], connection["connectionId"])
    document = {"statusCode": 400, "service": "PublicApi", "error": "Malformed query.", "correlationId": "c-1"}

    def failing(exchange: Exchange) -> None:
        if "tags=" in exchange.path:
            status = {"forbids": 403, "misses": 404}.get(cause, 400)
            answer = responds(status, document | {"statusCode": status})
            (responds(200, {"results": 5}) if cause == "fails" else answer)(exchange)
        else:
            passed_on(exchange)

    codat_wire.always(failing)
    counts = reconcile(app)
    assert (counts["drift"], counts["failed"]) == (3, 0)
    assert {app.read(connection)["status"] for connection in linked} == {"Deauthorized"}


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_tag_query_that_fails_for_any_ids_stops_the_batch(app: App, codat_wire: Proxy, status: int) -> None:
    """GIVEN an answer to the query that each single read would get as well THEN no company is read by its id, and the
    message fails.
    """
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    document = {"statusCode": status, "service": "PublicApi", "error": "No.", "correlationId": "c-1"}

    def failing(exchange: Exchange) -> None:
        (responds(status, document) if "tags=" in exchange.path else passed_on)(exchange)

    codat_wire.always(failing)
    app.codat.calls.clear()
    assert reconcile(app)["failed"] == 1
    assert app.codat.calls.count("GET", "/companies/*") == 0
    assert app.read(linked)["status"] == "Linked"


def test_a_connection_that_can_not_be_parsed_hides_no_other(app: App, codat_wire: Proxy) -> None:
    """GIVEN one connection of a company that breaks the contract THEN the others are healed, and the message fails."""
    customer = app.customer()
    healthy, broken = app.connection(customer["customerId"]), app.connection(customer["customerId"], "gbol")
    lose_webhooks(app)
    app.codat.state.link(healthy["companyId"], healthy["connectionId"])

    def unparseable(exchange: Exchange) -> None:
        answer = exchange.forward()
        document = json.loads(answer.body or b"null")
        for company in (document or {}).get("results", []) if exchange.operation == "GET /companies" else []:
            for connection in company["dataConnections"]:
                if connection["id"] == broken["connectionId"]:
                    connection["status"] = "SomethingNew"
        exchange.answer(replace(answer, body=json.dumps(document).encode()))

    codat_wire.always(unparseable)
    counts = reconcile(app)
    assert app.read(healthy)["status"] == "Linked"
    assert counts["failed"] == 1


def test_an_orphan_that_can_not_be_parsed_hides_no_other(app: App) -> None:
    """GIVEN a page with one company that breaks the contract THEN the others are adopted, and the message fails."""
    broken, healthy = (
        app.codat.state.create_company(CompanyChange(name="Orphan", tags={"uid": f"o-{uuid4()}"})) for _ in range(2)
    )
    broken.name = 5  # type: ignore[assignment]
    with adopting_orphans():
        counts = reconcile(app)
    assert (counts["straysAdopted"], counts["failed"]) == (1, 1)
    assert app.get(f"/customers/{healthy.tags['uid']}").status_code == 200


def test_callers_find_quota(app: App) -> None:
    """Below a fifth of the day's quota the walk stops, its messages end among the dead letters, and nothing is lost."""
    customer = app.customer()
    app.codat.quota.limit = 1000
    app.codat.faults.add(Fault(kind="webhook-drop"))
    for _ in range(850):
        app.codat.quota.take()
    counts = reconcile(app)
    assert counts["failed"] >= 1
    assert app.post(f"/customers/{customer['customerId']}/link").status_code == 200


def test_a_batch_that_fails_is_repeated_alone(app: App) -> None:
    """Codat fails one request of a walk: its message comes back, and the walk ends whole."""
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    app.codat.faults.add(
        Fault(kind="status", status=503, cached=False, path="/companies", method="GET", skip=1, times=5)
    )
    counts = reconcile(app)
    assert counts["failed"] == 0
    assert app.read(linked)["status"] == "Deauthorized"
