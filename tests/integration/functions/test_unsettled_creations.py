"""Creations whose request was not answered: it may still run at Codat, even if a later request fails."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from codat_simulator.faults import Fault
from codat_simulator.state import CompanyChange

from tests.conftest import App, Clock
from tests.integration.faults.proxy import Behaviour, Exchange, Proxy, dropped, passed_on, responds

BODY = {"customerId": "c-1", "name": "Bank of Dave"}


def create(app: App) -> Any:
    return app.post("/customers", BODY)


def companies_of(app: App, customer_id: str = "c-1") -> list[Any]:
    return [company for company in app.codat.state.companies() if company.tags.get("uid") == customer_id]


def error_document(status: int, correlation_id: str | None) -> dict[str, Any]:
    document = {"statusCode": status, "service": "PublicApi", "error": "Rejected."}
    return document | ({} if correlation_id is None else {"correlationId": correlation_id})


def posts_dropped(exchange: Exchange) -> None:
    (dropped if exchange.method == "POST" else passed_on)(exchange)


class SlowCodat:
    """A proxy that drops the first creation, and forwards it to Codat when the test calls `finish`."""

    def __init__(self, wire: Proxy, answer_others: Behaviour) -> None:
        self._running: list[Exchange] = []
        self._answer_others = answer_others
        self._wire = wire
        wire.always(self._handle)

    def _handle(self, exchange: Exchange) -> None:
        if exchange.operation != "POST /companies":
            passed_on(exchange)
        elif self._running:
            self._answer_others(exchange)
        else:
            self._running.append(exchange)
            dropped(exchange)

    def finish(self) -> None:
        self._wire.heal()
        [exchange] = self._running
        exchange.forward()


@pytest.mark.parametrize("status", [400, 401, 402, 403, 409, 500, 503])
def test_a_rejected_retry_does_not_settle_an_earlier_request(
    app: App, clock: Clock, codat_wire: Proxy, status: int
) -> None:
    """GIVEN a dropped request that still runs WHEN its retry is rejected THEN a single company is created."""
    app.customer("c-0")

    def rejected(exchange: Exchange) -> None:
        responds(status, error_document(status, str(uuid4())))(exchange)

    slow = SlowCodat(codat_wire, rejected)
    first = create(app)
    assert first.status_code in {409, 502, 504}
    assert app.items("CUSTOMER#c-1"), "only the lease records the request"
    slow.finish()
    clock.advance(10)
    again = create(app)
    assert again.status_code == 201
    assert [company.id for company in companies_of(app)] == [again.json()["companyId"]]


def test_a_replayed_rejection_settles_the_request(app: App, codat_wire: Proxy) -> None:
    """GIVEN a dropped request WHEN Codat answers two retries identically THEN the creation has failed: the lease is
    discarded, and a corrected call creates the customer.
    """
    app.customer("c-0")
    SlowCodat(codat_wire, responds(402, error_document(402, "c-1")))
    response = create(app)
    assert (response.status_code, response.json()["type"]) == (502, "codat-account-limit")
    assert app.items("CUSTOMER#c-1") == []
    codat_wire.heal()
    assert app.post("/customers", BODY | {"name": "Corrected"}).status_code == 201


def test_the_same_text_without_a_correlation_id_is_no_replay(app: App, codat_wire: Proxy) -> None:
    """Two requests can be rejected with the same text."""
    app.customer("c-0")
    SlowCodat(codat_wire, responds(402, error_document(402, None)))
    assert create(app).json()["type"] == "codat-account-limit"
    assert app.items("CUSTOMER#c-1")


@pytest.mark.parametrize("correlation_id", ["c-1", None])
def test_a_key_that_is_stuck_behind_a_cached_500_is_replaced(
    app: App, clock: Clock, codat_wire: Proxy, correlation_id: str | None
) -> None:
    """GIVEN a 500 that Codat replays for the key, with or without a correlation id THEN a new key completes the
    creation within 10 seconds.
    """
    app.customer("c-0")
    keys: list[str] = []

    def stuck(exchange: Exchange) -> None:
        if exchange.operation != "POST /companies":
            return passed_on(exchange)
        keys.append(exchange.headers["idempotency-key"])
        return (responds(500, error_document(500, correlation_id)) if keys[-1] == keys[0] else passed_on)(exchange)

    codat_wire.always(stuck)
    waited = 0.0
    while (response := create(app)).status_code != 201:
        assert response.json()["type"] in {"creation-in-progress", "codat-unavailable"}
        seconds = float(response.headers.get("retry-after", 1))
        clock.advance(seconds)
        waited += seconds
    assert waited <= 10
    assert len(set(keys)) == 2
    assert len(companies_of(app)) == 1


def test_a_key_is_sent_for_a_minute_and_replaced_after_five(app: App, clock: Clock, codat_wire: Proxy) -> None:
    """GIVEN a Codat that answers no creation THEN the same key is sent for 60 s, then only look-ups, then a new key."""
    app.customer("c-0")
    sent: list[tuple[timedelta, str]] = []

    def silent(exchange: Exchange) -> None:
        if exchange.operation != "POST /companies":
            return passed_on(exchange)
        sent.append((clock.ahead, exchange.headers["idempotency-key"]))
        return dropped(exchange)

    codat_wire.always(silent)
    while clock.ahead.total_seconds() < 400:
        response = create(app)
        assert response.status_code in {409, 502}
        assert int(response.headers.get("retry-after", 1)) <= 30
        clock.advance(20)
    first_key = sent[0][1]
    under_first = [at for at, key in sent if key == first_key]
    later = [at for at, key in sent if key != first_key]
    assert max(under_first) < timedelta(seconds=60)
    # As timedeltas, which add up exactly.
    assert timedelta(seconds=300) <= min(later) - max(under_first) <= timedelta(seconds=330)
    codat_wire.heal()
    while (response := create(app)).status_code != 201:
        clock.advance(int(response.headers["retry-after"]))
    assert clock.ahead.total_seconds() <= 800
    assert len(companies_of(app)) == 1


def test_the_company_of_a_slow_request_is_adopted_without_another_request(
    app: App, clock: Clock, codat_wire: Proxy
) -> None:
    """GIVEN a request that completes after two minutes THEN a call looks its company up, because the key is too old to
    send again.
    """
    app.customer("c-0")
    slow = SlowCodat(codat_wire, dropped)
    assert create(app).status_code == 502
    clock.advance(120)
    waiting = create(app)
    assert (waiting.status_code, waiting.json()["type"]) == (409, "creation-in-progress")
    slow.finish()
    response = create(app)
    assert response.status_code == 201
    assert len(companies_of(app)) == 1


def test_an_empty_look_up_counts_only_after_the_lag(app: App, clock: Clock) -> None:
    """GIVEN a 500 after the work, and lists that lag by 4 s THEN `creation-in-progress` until then, and a single
    company.
    """
    app.customer("c-0")
    app.codat.state.list_lag = 4.0
    app.codat.faults.add(Fault(kind="status", status=500, when="after", method="POST", path="/companies", times=1))
    response = create(app)
    assert (response.status_code, response.json()["type"]) == (409, "creation-in-progress")
    assert 1 <= int(response.headers["retry-after"]) <= 5
    clock.advance(5)
    assert create(app).status_code == 201
    assert len(companies_of(app)) == 1


def test_another_apps_company_with_the_same_tag_is_not_taken_over(app: App, clock: Clock) -> None:
    """GIVEN a company of another app with the same `uid` WHEN a creation looks for its own company THEN the other is
    not renamed, imported or deleted.
    """
    app.customer("c-0")
    theirs = app.codat.state.create_company(CompanyChange(name="Theirs", tags={"uid": "c-1"}))
    connection = app.codat.state.create_connection(theirs.id, "gbol")
    app.codat.faults.add(Fault(kind="status", status=500, method="POST", path="/companies", times=1))
    while (response := create(app)).status_code != 201:
        clock.advance(float(response.headers.get("retry-after", 1)))
    assert response.json()["companyId"] != theirs.id
    assert app.http.delete("/customers/c-1").status_code == 204
    assert (theirs.name, theirs.tags, list(theirs.connections)) == ("Theirs", {"uid": "c-1"}, [connection.id])
    assert [company.id for company in companies_of(app)] == [theirs.id]


def test_a_company_that_was_mistagged_by_hand_is_not_taken_over(app: App) -> None:
    """GIVEN another customer's company that was tagged with this customer's id THEN a company is created."""
    other = app.customer("c-0")
    app.codat.state.change_company(other["companyId"], CompanyChange(tags={"uid": "c-1"}))
    app.codat.faults.add(Fault(kind="drop", when="after", method="POST", path="/companies", times=1))
    response = create(app)
    assert response.status_code == 201
    assert len(companies_of(app)) == 2
    assert response.json()["companyId"] != other["companyId"]
    assert create(app).json()["companyId"] == response.json()["companyId"]


def test_the_creation_id_survives_a_new_key(app: App, clock: Clock, codat_wire: Proxy) -> None:
    """GIVEN a creation that needed a second key THEN a company that the first key created late is recognised too."""
    app.customer("c-0")
    bodies: list[bytes] = []

    def record(exchange: Exchange) -> None:
        if exchange.operation == "POST /companies":
            bodies.append(exchange.body)
            responds(500, error_document(500, "c-1"))(exchange)
        else:
            passed_on(exchange)

    codat_wire.always(record)
    for _ in range(3):
        create(app)
        clock.advance(6)
    assert len(bodies) >= 2
    assert len(set(bodies)) == 1, "the requests of both keys have the same body, and so the same creation id"


def test_a_slow_connection_request_creates_a_single_connection(app: App, clock: Clock, codat_wire: Proxy) -> None:
    """GIVEN a dropped request that still runs WHEN its retry is rejected THEN a single connection is created."""
    customer = app.customer()
    running: list[Exchange] = []

    def slow(exchange: Exchange) -> None:
        if exchange.method != "POST":
            passed_on(exchange)
        elif running:
            responds(403, error_document(403, f"c-{id(exchange)}"))(exchange)
        else:
            running.append(exchange)
            dropped(exchange)

    codat_wire.always(slow)
    path = f"/customers/{customer['customerId']}/connections"
    assert app.post(path, {"platformKey": "qhyg"}).status_code == 502
    codat_wire.heal()
    running[0].forward()
    clock.advance(10)
    response = app.post(path, {"platformKey": "qhyg"})
    assert response.status_code in {200, 201}
    [company] = app.codat.state.companies()
    assert list(company.connections) == [response.json()["connectionId"]]


def test_reconcile_finishes_a_creation_that_the_caller_does_not_retry(
    app: App, clock: Clock, codat_wire: Proxy
) -> None:
    """GIVEN a company that was created after the caller gave up THEN reconcile completes the customer; if no company
    was created, it discards the lease.
    """
    app.customer("c-0")
    slow = SlowCodat(codat_wire, dropped)
    assert create(app).status_code == 502
    codat_wire.always(dropped)
    assert app.post("/customers", {"customerId": "c-2", "name": "Never created"}).status_code == 502
    slow.finish()
    clock.advance(61)
    assert app.post("/_local/reconcile").json()["creationsFinished"] == 1
    assert app.get("/customers/c-1").status_code == 200
    assert app.items("CUSTOMER#c-2"), "it may still run"
    clock.advance(3600)
    app.post("/_local/reconcile")
    assert app.items("CUSTOMER#c-2") == []
    assert companies_of(app, "c-2") == []
    assert len(companies_of(app)) == 1


def test_deleting_an_unfinished_creation_creates_nothing(app: App, clock: Clock) -> None:
    """GIVEN a creation that never reached Codat WHEN it is deleted THEN no company is created."""
    app.customer("c-0")
    app.codat.faults.add(Fault(kind="drop", when="before", method="POST", path="/companies"))
    assert create(app).status_code == 502
    clock.advance(61)
    response = app.http.delete("/customers/c-1")
    assert (response.status_code, response.json()["type"]) == (409, "creation-in-progress")
    clock.advance(300)
    assert app.http.delete("/customers/c-1").status_code == 204
    assert app.items("CUSTOMER#c-1") == []
    app.codat.faults.clear()
    assert companies_of(app) == []


def test_deleting_while_the_request_may_still_run_sends_nothing(app: App, clock: Clock, codat_wire: Proxy) -> None:
    """GIVEN a creation that was dropped THEN DELETE is 409 until 5 minutes after the last request, and then 204."""
    app.customer("c-0")
    SlowCodat(codat_wire, dropped)
    assert create(app).status_code in {409, 502, 504}
    requests = codat_wire.seen.count("POST /companies")
    response = app.http.delete("/customers/c-1")
    assert (response.status_code, response.json()["type"]) == (409, "creation-in-progress")
    clock.advance(301)
    assert app.http.delete("/customers/c-1").status_code == 204
    assert codat_wire.seen.count("POST /companies") == requests > 0
    assert app.items("CUSTOMER#c-1") == []


@pytest.mark.parametrize("field", [{"created": 5}, {"tags": {"uid": 5}}], ids=["other-field", "tags"])
def test_a_look_up_with_a_malformed_company(app: App, clock: Clock, codat_wire: Proxy, field: dict[str, Any]) -> None:
    """GIVEN a look-up that returns the created company with a malformed field THEN it is recognised by its id and tags;
    if those can't be parsed, the call fails, and no second company is created.
    """
    app.customer("c-0")
    slow = SlowCodat(codat_wire, dropped)
    create(app)
    slow.finish()
    clock.advance(600)

    def distorted(exchange: Exchange) -> None:
        response = exchange.forward()
        document = json.loads(response.body or b"null")
        if exchange.method == "GET" and "creationId" in exchange.path:
            document["results"] = [entry | field for entry in document["results"]]
        exchange.answer(replace(response, body=json.dumps(document).encode()))

    codat_wire.always(distorted)
    assert create(app).status_code == (201 if "created" in field else 502)
    assert len(companies_of(app)) == 1


@pytest.mark.parametrize(("name", "is_recognised"), [("QuickBooks Online (US)", True), ("Xero", False)])
def test_a_slow_connection_without_its_key_is_recognised(
    app: App, clock: Clock, codat_wire: Proxy, name: str, *, is_recognised: bool
) -> None:
    """GIVEN an unanswered request, and a listed connection without a key THEN it is returned unless its name is another
    platform's; in that case another connection is created.
    """
    customer = app.customer()
    path = f"/customers/{customer['customerId']}/connections"
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.serializer.omit_integration_key = True

    codat_wire.always(posts_dropped)
    assert app.post(path, {"platformKey": "qhyg"}).status_code in {409, 502, 504}
    listed = app.codat.state.create_connection(customer["companyId"], "qhyg")

    def renamed(exchange: Exchange) -> None:
        response = exchange.forward()
        body = response.body
        if exchange.method == "GET":
            body = body.replace(b'"platformName":"QuickBooks Online"', f'"platformName":"{name}"'.encode())
            body = body.replace(b'"platformName": "QuickBooks Online"', f'"platformName": "{name}"'.encode())
        exchange.answer(replace(response, body=body))

    codat_wire.always(renamed)
    clock.advance(600)
    response = app.post(path, {"platformKey": "qhyg"})
    assert response.status_code in {200, 201}, response.text
    assert (response.json()["connectionId"] == listed.id) is is_recognised
    [company] = app.codat.state.companies()
    assert len(company.connections) == (1 if is_recognised else 2)


def test_an_older_connection_of_another_platform_is_not_returned(app: App, clock: Clock, codat_wire: Proxy) -> None:
    """GIVEN an unanswered request, and a connection of the day before, without a key and of a platform that is not
    offered THEN another connection is created, and the older is not stored with the requested key.
    """
    customer = app.customer()
    path = f"/customers/{customer['customerId']}/connections"
    app.codat.serializer.omit_integration_key = True
    app.codat.faults.add(Fault(kind="webhook-drop"))
    older = app.codat.state.create_connection(customer["companyId"], "qhyg")

    def renamed(exchange: Exchange) -> None:
        response = exchange.forward()
        document = json.loads(response.body or b"null")
        for each in [document, *document.get("results", [])] if isinstance(document, dict) else []:
            if each.get("id") == older.id:
                each["platformName"] = "FreshBooks"
        exchange.answer(replace(response, body=json.dumps(document).encode()))

    def unanswered(exchange: Exchange) -> None:
        (dropped if exchange.method == "POST" else renamed)(exchange)

    clock.advance(86_400)
    codat_wire.always(unanswered)
    assert app.post(path, {"platformKey": "qhyg"}).status_code in {409, 502, 504}
    codat_wire.always(renamed)
    clock.advance(600)
    response = app.post(path, {"platformKey": "qhyg"})
    assert (response.status_code, response.json()["platformKey"]) == (201, "qhyg")
    assert response.json()["connectionId"] != older.id
    assert app.read({**customer, "connectionId": older.id})["platformKey"] == ""


@pytest.mark.parametrize("is_answered", [False, True], ids=["unsent", "answered"])
def test_a_connection_that_is_reused_leaves_no_lease(app: App, *, is_answered: bool) -> None:
    """GIVEN no earlier request, or a request that Codat answered with an error WHEN a connection of the hosted page is
    reused THEN the lease is discarded, because no request can still create another.
    """
    customer = app.customer()
    path = f"/customers/{customer['customerId']}/connections"
    if is_answered:
        app.codat.faults.add(Fault(kind="status", status=500, method="POST", path="/companies/*/connections"))
        assert app.post(path, {"platformKey": "qhyg"}).status_code == 409
        app.codat.faults.clear()
    app.codat.state.create_connection(customer["companyId"], "qhyg")
    assert app.post(path, {"platformKey": "qhyg"}).status_code == 200
    assert [item for item in app.items(f"COMPANY#{customer['companyId']}") if item["sk"].startswith("CREATING#")] == []


@pytest.mark.parametrize("entry", [5, {"platformName": "QuickBooks Online (US)", "sourceType": "Accounting"}])
def test_a_malformed_listed_connection_prevents_a_second_request(
    app: App, clock: Clock, codat_wire: Proxy, entry: Any
) -> None:
    """GIVEN an unanswered request, and a malformed connection that may be on its platform THEN 502 without a second
    request; once the connection can be parsed, it is returned.
    """
    customer = app.customer()
    path = f"/customers/{customer['customerId']}/connections"
    app.codat.faults.add(Fault(kind="webhook-drop"))
    codat_wire.always(posts_dropped)
    assert app.post(path, {"platformKey": "qhyg"}).status_code in {409, 502, 504}
    listed = app.codat.state.create_connection(customer["companyId"], "qhyg")

    def distorted(exchange: Exchange) -> None:
        response = exchange.forward()
        if exchange.method == "GET" and urlsplit(exchange.path).path.endswith("/connections"):
            document = json.loads(response.body) | {"results": [entry]}
            response = replace(response, body=json.dumps(document).encode())
        exchange.answer(response)

    codat_wire.always(distorted)
    clock.advance(600)
    assert app.post(path, {"platformKey": "qhyg"}).status_code == 502
    assert app.codat.calls.count("POST", "/companies/*/connections") == 0
    codat_wire.heal()
    assert app.post(path, {"platformKey": "qhyg"}).json()["connectionId"] == listed.id
