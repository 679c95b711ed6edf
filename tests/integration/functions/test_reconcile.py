"""Reconcile: compare the table with Codat through the real plan, messages and batches."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from time import sleep
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


def test_lost_webhooks_are_repaired(app: App) -> None:
    """GIVEN lost webhooks about a link, a revocation, an unlink, a deletion and a connection from the portal THEN the
    table matches Codat after a reconcile.
    """
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


def test_a_company_deleted_at_codat_deletes_its_customer(app: App) -> None:
    """THEN the customer is deleted, and its id is free for a new customer."""
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.delete_company(linked["companyId"])
    assert reconcile(app)["companiesDeleted"] == 1
    assert app.get(f"/customers/{linked['customerId']}").status_code == 404
    app.customer(linked["customerId"])


def test_a_profile_that_differs_at_codat_is_sent_again(app: App) -> None:
    """GIVEN a change that Codat failed, and a tag that was removed in the portal THEN both profiles are sent again."""
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


@pytest.mark.parametrize("failure", ["fails", "malformed", "refuses"])
def test_a_failing_company_does_not_stop_the_others(app: App, capsys: pytest.CaptureFixture[str], failure: str) -> None:
    """GIVEN a batch with a company that Codat does not return, returns malformed, or refuses to change THEN the other
    companies are repaired and counted, and the message of the batch is retried.
    """
    failing = app.customer()
    linked = [app.linked(app.customer()["customerId"]) for _ in range(2)]
    lose_webhooks(app)
    company = app.codat.state.company(failing["companyId"])
    untagged = CompanyChange(name="By hand", tags={})
    match failure:
        case "fails":
            app.codat.state.change_company(company.id, untagged)
            app.codat.faults.add(Fault(kind="status", status=403, method="GET", path=f"/companies/{company.id}"))
        case "malformed":
            company.name = 5  # type: ignore[assignment]
        case _:
            app.codat.state.change_company(company.id, untagged)
            app.codat.faults.add(Fault(kind="status", status=400, method="PATCH", path=f"/companies/{company.id}"))
    for connection in linked:
        app.codat.state.revoke(connection["companyId"], connection["connectionId"])
    capsys.readouterr()
    counts = reconcile(app)
    assert [app.read(connection)["status"] for connection in linked] == ["Deauthorized"] * 2
    assert (counts["drift"], counts["failed"] >= 1) == (2, True)
    assert sum(measured(capsys.readouterr().out)["DriftFound",]) == 2


def test_a_query_stays_within_codats_limit(app: App) -> None:
    """GIVEN the longest ids, with `:` and `@` that take three characters each THEN at most 2,048 characters a query."""
    for number in range(12):
        app.customer(f"{number:02}{':@' * 49}")
    app.codat.calls.clear()
    assert reconcile(app)["companies"] == 12
    queries = [call.query for call in app.codat.calls.list("GET", "/companies") if "tags=" in call.query]
    assert len(queries) >= 2
    assert max(map(len, queries)) <= 2048


def test_a_connection_missing_from_a_list_is_read_by_its_id(app: App, codat_wire: Proxy) -> None:
    """GIVEN a list that shows a company without its connections THEN reconcile does not delete them."""

    def without_connections(exchange: Exchange) -> None:
        response = exchange.forward()
        if exchange.operation == "GET /companies":
            document = json.loads(response.body)
            for company in document["results"]:
                company["dataConnections"] = []
            response = replace(response, body=json.dumps(document).encode())
        exchange.answer(response)

    linked = app.linked(app.customer()["customerId"])
    codat_wire.always(without_connections)
    assert reconcile(app)["drift"] == 0
    assert app.read(linked)["status"] == "Linked"


def test_a_listed_connection_that_was_deleted_is_not_stored(app: App, codat_wire: Proxy) -> None:
    """GIVEN an unknown connection that is deleted after Codat has listed it THEN it is left out."""
    customer = app.customer()
    lose_webhooks(app)
    made = app.codat.state.create_connection(customer["companyId"], "gbol")

    def delete_after_the_list(exchange: Exchange) -> None:
        answer = exchange.forward()
        if "tags=" in exchange.path:
            codat_wire.heal()
            app.codat.state.delete_connection(customer["companyId"], made.id)
        exchange.answer(answer)

    codat_wire.always(delete_after_the_list)
    assert reconcile(app).get("drift", 0) == 0
    assert app.get(f"/customers/{customer['customerId']}").json()["connections"] == []


def test_a_lagging_list_sends_no_profile_again(app: App, codat_wire: Proxy) -> None:
    """GIVEN a list that shows an older name THEN reconcile reads the company by its id, and changes nothing."""

    def outdated(exchange: Exchange) -> None:
        response = exchange.forward()
        if exchange.operation == "GET /companies":
            response = replace(response, body=response.body.replace(b"Bank of Dave", b"Bank of Mary"))
        exchange.answer(response)

    app.customer()
    codat_wire.always(outdated)
    assert reconcile(app)["drift"] == 0
    assert app.codat.calls.count("PATCH") == 0


def test_a_batch_without_any_company_still_finishes_deletions(app: App) -> None:
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


@pytest.mark.usefixtures("clock")  # the waits between attempts take no time
def test_a_customer_created_again_during_a_reconcile_is_not_deleted(app: App) -> None:
    """GIVEN two unfinished deletions WHEN the second is repeated and its customer created again while reconcile
    finishes the first THEN the new customer stays.
    """
    ids = [app.customer()["customerId"] for _ in range(2)]
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="DELETE"))
    for customer_id in ids:
        app.http.delete(f"/customers/{customer_id}")
    app.codat.faults.remove(fault)
    app.codat.faults.add(Fault(kind="latency", seconds=1.5, method="DELETE", times=1))

    with ThreadPoolExecutor() as threads:
        app.codat.calls.clear()
        running = threads.submit(reconcile, app)
        while not app.codat.calls.count("DELETE"):
            sleep(0.01)
        responses = [app.http.delete(f"/customers/{customer_id}").status_code for customer_id in ids]
        [free] = [customer_id for customer_id, response in zip(ids, responses, strict=True) if response == 204]
        app.customer(free)
        running.result()

    assert sorted(responses) == [204, 409]
    assert app.get(f"/customers/{free}").status_code == 200
    assert app.codat.state.company(app.get(f"/customers/{free}").json()["companyId"])


def test_an_unfinished_deletion_is_finished(app: App) -> None:
    """GIVEN a deletion that Codat failed, and a caller who did not retry THEN reconcile finishes it."""
    customer = app.customer()
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="DELETE"))
    app.http.delete(f"/customers/{customer['customerId']}")
    app.codat.faults.remove(fault)
    assert reconcile(app)["deletionsFinished"] == 1
    assert app.codat.state.companies() == []
    assert app.items(f"CUSTOMER#{customer['customerId']}") == []


def test_orphans_are_counted_and_not_changed_by_default(app: App) -> None:
    """A company with our tag and without a customer may belong to another app, so adoption is off by default."""
    app.codat.state.create_company(CompanyChange(name="Orphan", tags={"uid": f"o-{uuid4()}"}))
    app.codat.state.create_company(CompanyChange(name="Foreign", tags={}))
    counts = reconcile(app)
    assert (counts["strays"], counts.get("straysAdopted", 0), counts["drift"]) == (1, 0, 0)


def test_orphans_are_adopted_if_the_deployment_allows_it(app: App) -> None:
    """THEN their connections are imported, and the first POST sets their profile instead of being a conflict."""
    customer_id = f"o-{uuid4()}"
    lose_webhooks(app)
    company = app.codat.state.create_company(CompanyChange(name="Orphan", tags={"uid": customer_id}))
    connection = app.codat.state.create_connection(company.id, "gbol")
    app.codat.state.link(company.id, connection.id)
    with adopting_orphans():
        assert reconcile(app)["straysAdopted"] == 1
    adopted = app.get(f"/customers/{customer_id}").json()
    assert (adopted["companyId"], adopted["name"]) == (company.id, "Orphan")
    assert [connection["status"] for connection in adopted["connections"]] == ["Linked"]
    first = app.post("/customers", {"customerId": customer_id, "name": "Bank of Dave"})
    assert (first.status_code, first.json()["name"]) == (200, "Bank of Dave")
    assert app.codat.state.company(company.id).name == "Bank of Dave"
    assert app.post("/customers", {"customerId": customer_id, "name": "Another name"}).status_code == 409


def test_the_first_profile_of_an_orphan_reaches_codat_after_a_crash(app: App) -> None:
    """GIVEN a process that crashed before it called Codat THEN the repeated call sends the profile."""
    customer_id = f"o-{uuid4()}"
    company = adopted_orphan(app, customer_id)
    event = api_event("create_company", body={"customerId": customer_id, "name": "Bank of Dave"})
    assert invoke("functions.create_company.app", event, kill_point=KillPoint("PATCH Codat", "before")).answer is None
    assert invoke("functions.create_company.app", event).status == 200
    assert company.name == "Bank of Dave"


def test_concurrent_calls_set_the_first_profile_of_an_orphan(app: App) -> None:
    """GIVEN eight identical calls at the same moment THEN each returns the customer."""
    customer_id = f"o-{uuid4()}"
    adopted_orphan(app, customer_id)
    body = {"customerId": customer_id, "name": "Bank of Dave"}
    responses = concurrently(*[lambda: app.post("/customers", body)] * 8)
    assert [(response.status_code, response.json()["name"]) for response in responses] == [(200, "Bank of Dave")] * 8


def test_a_connection_with_another_customers_id_is_corrected(app: App) -> None:
    """GIVEN two customers that tried to adopt a company THEN its connections get its customer's id, and an event is
    published.
    """
    linked = app.linked(app.customer()["customerId"])
    table = Table(app.stack.dynamodb, app.stack.table_name)
    items = app.items(f"COMPANY#{linked['companyId']}")
    [item] = [item for item in items if item["sk"].startswith("CONNECTION#")]
    table.write(put({**item, "customerId": "somebody-else", "version": item["version"] + 1}))
    assert reconcile(app)["drift"] == 1
    assert app.read(linked)["customerId"] == linked["customerId"]
    newest = events_about(app, linked["customerId"])[-1]
    assert (newest["detail-type"], newest["detail"]["version"]) == ("connection.updated", item["version"] + 2)


def test_the_oldest_of_two_orphans_is_adopted(app: App) -> None:
    """In any order of Codat's list; the other company is not changed."""
    customer_id = f"o-{uuid4()}"
    listed_first, oldest = (
        app.codat.state.create_company(CompanyChange(name=name, tags={"uid": customer_id})) for name in ("New", "Old")
    )
    oldest.created = listed_first.created - timedelta(days=1)
    with adopting_orphans():
        assert reconcile(app)["straysAdopted"] == 1
    assert app.get(f"/customers/{customer_id}").json()["companyId"] == oldest.id
    assert len(app.codat.state.companies()) == 2


def test_an_orphan_without_a_creation_time_is_not_the_oldest(app: App, codat_wire: Proxy) -> None:
    """GIVEN two orphans of one customer, one without the optional `created` THEN the other is adopted."""
    customer_id = f"o-{uuid4()}"
    undated, dated = (
        app.codat.state.create_company(CompanyChange(name=name, tags={"uid": customer_id})) for name in ("1", "2")
    )

    def without_created(exchange: Exchange) -> None:
        answer = exchange.forward()
        document = json.loads(answer.body or b"{}")
        for company in document.get("results", []):
            if company.get("id") == undated.id:
                del company["created"]
        exchange.answer(replace(answer, body=json.dumps(document).encode()))

    codat_wire.always(without_created)
    with adopting_orphans():
        assert reconcile(app)["straysAdopted"] == 1
    assert app.get(f"/customers/{customer_id}").json()["companyId"] == dated.id


def test_an_abandoned_link_is_reported_once(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a link that was not used for more than seven days THEN a single event is published."""
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
    """GIVEN an abandoned link WHEN the app gets a fresh link THEN `error` is cleared, and it can be abandoned again."""
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
    """GIVEN a link that was not used for 8 days WHEN the app gets a fresh link after reconcile has read the table THEN
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


@pytest.mark.parametrize("cause", ["rejected", "forbidden", "missing", "malformed"])
def test_if_a_tag_query_fails_each_company_is_read_by_its_id(app: App, codat_wire: Proxy, cause: str) -> None:
    """GIVEN a tag query that Codat rejects, or whose response can't be parsed THEN every company is still checked."""
    linked = [app.linked(app.customer()["customerId"]) for _ in range(3)]
    lose_webhooks(app)
    for connection in linked:
        app.codat.state.revoke(connection["companyId"], connection["connectionId"])
    document = {"statusCode": 400, "service": "PublicApi", "error": "Malformed query.", "correlationId": "c-1"}

    def failing(exchange: Exchange) -> None:
        if "tags=" in exchange.path:
            status = {"forbidden": 403, "missing": 404}.get(cause, 400)
            error = responds(status, document | {"statusCode": status})
            (responds(200, {"results": 5}) if cause == "malformed" else error)(exchange)
        else:
            passed_on(exchange)

    codat_wire.always(failing)
    counts = reconcile(app)
    assert (counts["drift"], counts["failed"]) == (3, 0)
    assert {app.read(connection)["status"] for connection in linked} == {"Deauthorized"}


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_an_outage_during_a_tag_query_stops_the_batch(app: App, codat_wire: Proxy, status: int) -> None:
    """GIVEN an error that would fail each single read as well THEN no company is read by its id, and the message
    fails.
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


def test_a_malformed_connection_does_not_stop_the_others(app: App, codat_wire: Proxy) -> None:
    """GIVEN a connection that breaks Codat's contract THEN the others are repaired, and the message fails."""
    customer = app.customer()
    healthy, broken = app.connection(customer["customerId"]), app.connection(customer["customerId"], "gbol")
    lose_webhooks(app)
    app.codat.state.link(healthy["companyId"], healthy["connectionId"])

    def unparseable(exchange: Exchange) -> None:
        response = exchange.forward()
        document = json.loads(response.body or b"null")
        for company in (document or {}).get("results", []) if exchange.operation == "GET /companies" else []:
            for connection in company["dataConnections"]:
                if connection["id"] == broken["connectionId"]:
                    connection["status"] = "SomethingNew"
        exchange.answer(replace(response, body=json.dumps(document).encode()))

    codat_wire.always(unparseable)
    counts = reconcile(app)
    assert app.read(healthy)["status"] == "Linked"
    assert counts["failed"] == 1


def test_a_malformed_orphan_does_not_stop_the_others(app: App) -> None:
    """GIVEN a page with a company that breaks Codat's contract THEN the others are adopted, and the message fails."""
    broken, healthy = (
        app.codat.state.create_company(CompanyChange(name="Orphan", tags={"uid": f"o-{uuid4()}"})) for _ in range(2)
    )
    broken.name = 5  # type: ignore[assignment]
    with adopting_orphans():
        counts = reconcile(app)
    assert (counts["straysAdopted"], counts["failed"]) == (1, 1)
    assert app.get(f"/customers/{healthy.tags['uid']}").status_code == 200


def test_reconcile_leaves_quota_for_callers(app: App) -> None:
    """GIVEN less than a fifth of the day's quota THEN reconcile fails, and calls of the API still work."""
    customer = app.customer()
    app.codat.quota.limit = 1000
    app.codat.faults.add(Fault(kind="webhook-drop"))
    for _ in range(850):
        app.codat.quota.take()
    counts = reconcile(app)
    assert counts["failed"] >= 1
    assert app.post(f"/customers/{customer['customerId']}/link").status_code == 200


def test_a_failed_batch_is_retried(app: App) -> None:
    """GIVEN a request of a batch that Codat fails THEN the message is retried, and reconcile succeeds."""
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    app.codat.faults.add(
        Fault(kind="status", status=503, cached=False, path="/companies", method="GET", skip=1, times=5)
    )
    counts = reconcile(app)
    assert counts["failed"] == 0
    assert app.read(linked)["status"] == "Deauthorized"
