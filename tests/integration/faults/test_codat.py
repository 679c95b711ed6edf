"""GIVEN a Codat that is slow, silent or returns invalid answers THEN handlers return a problem in time.

The same call completes when it is repeated after the failure.
"""

import gzip
import importlib
import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from codat_simulator.faults import Fault
from codat_simulator.state import CompanyChange

from shared.bootstrap import codat
from shared.domain.errors import SecretsUnavailable
from shared.runtime import secrets
from tests.conftest import App, Clock
from tests.integration.faults.context import Context
from tests.integration.faults.proxy import (
    Answer,
    Behaviour,
    Exchange,
    Proxy,
    dropped,
    lost,
    passed_on,
    responds,
    silent,
)
from tests.payloads import api_event, webhook_about
from tests.properties.crashes.test_crashes import SCENES, Scene, creating_a_company, creating_a_connection, unlinking

SECONDS = codat.STORE_RESERVE_SECONDS + 0.6
"""The function's time, of which 0.6 s are left for Codat. The reserve is the margin for a busy machine.

A client that ignored the remaining time would wait for 9 s (`READ_SECONDS`), or as long as a body keeps arriving.
"""

CORRELATION = {"statusCode": 503, "error": "Codat is down", "correlationId": "c-1", "service": "x"}
ERROR_500 = {**CORRELATION, "statusCode": 500}
UNAVAILABLE, TIMED_OUT = (502, "codat-unavailable"), (504, "codat-unavailable")
RATE_LIMITED = (429, "codat-rate-limited")


def after_forwarding(behaviour: Behaviour) -> Behaviour:
    """Forward the request, and answer it by another behaviour."""

    def behave(exchange: Exchange) -> None:
        exchange.forward()
        behaviour(exchange)

    return behave


def dated(date: str) -> Behaviour:
    """Return the server's answer with another Date header."""

    def behave(exchange: Exchange) -> None:
        answer = exchange.forward()
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "date"}
        exchange.answer(Answer(answer.status, {**headers, "Date": date}, answer.body))

    return behave


def dripping(exchange: Exchange) -> None:
    """Send a body that does not end, each byte well within the read timeout."""
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    while exchange.hold(0.05):
        exchange.write(b" ")
    exchange.drop()


def huge(exchange: Exchange) -> None:
    """Send a body that is larger than any of Codat's."""
    exchange.begin(200, {"Content-Length": str(40 * 1024 * 1024)})
    for _ in range(40):
        exchange.write(b" " * 1024 * 1024)


def garbled(exchange: Exchange) -> None:
    """Send bytes that are not HTTP."""
    exchange.write(b"\x00\xff not HTTP\r\n\r\n")
    exchange.drop()


def cut_short(exchange: Exchange) -> None:
    """Send less than `Content-Length`."""
    exchange.begin(200, {"Content-Length": "100"})
    exchange.write(b"{")
    exchange.drop()


BEHAVIOURS: dict[str, tuple[Behaviour, tuple[int, str]]] = {
    "silent": (silent, TIMED_OUT),
    "dropped": (dropped, UNAVAILABLE),
    "lost": (lost, UNAVAILABLE),
    "garbled": (garbled, UNAVAILABLE),
    "cut short": (cut_short, UNAVAILABLE),
    "huge": (huge, UNAVAILABLE),
    "dripping body": (dripping, TIMED_OUT),
    "HTML": (after_forwarding(responds(200, b"<html>It works!</html>", content_type="text/html")), UNAVAILABLE),
    "HTML error": (responds(503, b"<html>Bad gateway</html>", content_type="text/html"), UNAVAILABLE),
    "sign-in page": (responds(200, b"<html>Sign in</html>", content_type="text/html"), UNAVAILABLE),
    "empty": (after_forwarding(responds(200, b"")), UNAVAILABLE),
    "no content": (after_forwarding(responds(204, b"")), UNAVAILABLE),
    "null": (after_forwarding(responds(200, None)), UNAVAILABLE),
    "other JSON type": (after_forwarding(responds(200, [1, "x"])), UNAVAILABLE),
    "wrong types": (
        after_forwarding(responds(200, {"id": 7, "results": "x", "totalResults": {}, "status": 0})),
        UNAVAILABLE,
    ),
    "not UTF-8": (after_forwarding(responds(200, b'{"id": "\xff"}')), UNAVAILABLE),
    "deeply nested": (after_forwarding(responds(200, b"[" * 100_000)), UNAVAILABLE),
    "not gzip": (after_forwarding(responds(200, b"{}", content_encoding="gzip")), UNAVAILABLE),
    "gzip of invalid JSON": (
        after_forwarding(responds(200, gzip.compress(b"}" * 10**6), content_encoding="gzip")),
        UNAVAILABLE,
    ),
    "redirect": (responds(302, b"", location="http://127.0.0.1:9/"), UNAVAILABLE),
    "error": (responds(503, CORRELATION), UNAVAILABLE),
    "error with wrong types": (responds(500, {"error": 7, "correlationId": []}), UNAVAILABLE),
    "rate limited": (responds(429, CORRELATION, retry_after="7"), RATE_LIMITED),
    "rate limited until the year 9999": (responds(429, {}, retry_after="Fri, 31 Dec 9999 23:59:59 GMT"), RATE_LIMITED),
    "rate limited until an invalid date": (
        responds(429, {}, retry_after="Mon, 1 Jan 99999999999999999999 00:00:00 GMT"),
        RATE_LIMITED,
    ),
    "rate limited with a negative time": (responds(429, {}, retry_after="-5"), RATE_LIMITED),
    "rate limited with text": (responds(429, b"slow down", retry_after="soon"), RATE_LIMITED),
    "rate limited with 400 digits": (responds(429, {}, retry_after="9" * 400), RATE_LIMITED),
}


def call(scene: Scene, context: Context | None = None) -> tuple[int, dict[str, str], Any]:
    answer = importlib.import_module(scene.handler).handler(scene.event, context or Context())
    return answer["statusCode"], answer["headers"], json.loads(answer["body"]) if answer["body"] else None


def completed(scene: Scene, clock: Clock, within: float = 400.0) -> float:
    """Repeat the call after its `Retry-After` until it completes. Return the seconds waited."""
    waited = 0.0
    while True:
        status, headers, body = call(scene)
        if status in scene.done:
            return waited
        assert body["type"] in {"creation-in-progress", "codat-unavailable"}, body
        seconds = float(headers.get("retry-after", 1))
        waited += seconds
        assert waited <= within, body
        clock.advance(seconds)


def check(app: App, wire: Proxy, scene: Scene, names: Iterable[str], clock: Clock) -> None:
    """Call during each failure, with what the failures before it left behind, and again after the last."""
    unexpected = {}
    for name in names:
        behaviour, expected = BEHAVIOURS[name]
        wire.always(behaviour)
        context = Context(SECONDS)
        status, headers, problem = call(scene, context)
        assert context.get_remaining_time_in_millis() > 0, f"{name}: Lambda would have ended the function"
        if status in scene.done:
            break  # the work was done, and this call needs no other answer
        # On a busy machine the time for Codat may be over before its invalid answer has arrived.
        if (status, problem["type"]) not in {expected, TIMED_OUT}:
            unexpected[name] = (status, problem["type"])
        assert headers["content-type"] == "application/problem+json", name
        is_codats = name in {"error", "rate limited"} and (status, problem["type"]) != TIMED_OUT
        assert problem.get("correlationId") == ("c-1" if is_codats else None), name
        if status == 429:
            assert int(headers["retry-after"]) >= 1
    assert unexpected == {}
    wire.heal()
    completed(scene, clock)
    app.codat.wait_idle()
    scene.holds()


def creating_the_first_company(app: App) -> Scene:
    """The API key is not trusted yet, so that Codat is first asked for its number of companies."""
    app.start_afresh(is_new=True)
    return creating_a_company(app)


CALLS = [scene for scene in SCENES if not scene.__name__.startswith("webhook")]


@pytest.mark.parametrize("scene_of", [*CALLS, creating_the_first_company])
def test_a_failure_becomes_a_problem_in_time_and_the_repeated_call_completes(
    app: App, codat_wire: Proxy, clock: Clock, scene_of: Callable[[App], Scene]
) -> None:
    """For every call: a silent Codat, a lost answer, invalid answers, an outage and a rate limit."""
    check(app, codat_wire, scene_of(app), ["silent", "sign-in page", "lost", "HTML", "error", "rate limited"], clock)


def test_every_invalid_answer_becomes_a_problem(app: App, codat_wire: Proxy, clock: Clock) -> None:
    check(app, codat_wire, creating_a_connection(app), BEHAVIOURS, clock)


@pytest.mark.parametrize("date", ["", "Mon, 01 Jan 0001 00:00:00 +2300"])
def test_an_answer_with_an_invalid_date_header_is_used(app: App, codat_wire: Proxy, date: str) -> None:
    scene = creating_a_connection(app)
    codat_wire.always(dated(date))
    status, _, body = call(scene)
    assert status in scene.done, body
    scene.holds()


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=365 * 30)])
def test_a_date_header_in_the_future_does_not_outrank_later_webhooks(
    app: App, codat_wire: Proxy, ahead: timedelta
) -> None:
    scene = unlinking(app)
    codat_wire.always(dated(format_datetime(datetime.now(UTC) + ahead)))
    assert call(scene)[0] in scene.done
    scene.holds()
    [company] = app.codat.state.companies()
    [connection_id] = company.connections
    now = datetime.now(UTC) + timedelta(seconds=1)
    event = webhook_about(
        "connection.reconnected", company_id=company.id, connection_id=connection_id, generatedDate=now.isoformat()
    )
    assert app.deliver(event).status_code == 204
    ids = {"customerId": company.tags["uid"], "connectionId": connection_id}
    assert app.read(ids)["status"] == "Linked"


CREATIONS = [creating_a_company, creating_a_connection]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, {}),
        (502, b"<html>Bad gateway</html>"),
        (503, {"message": "Service Unavailable"}),
        (524, {}),
        (200, b"<html>Please wait</html>"),
        (402, {}),
    ],
)
@pytest.mark.parametrize("scene_of", CREATIONS)
def test_a_gateway_error_does_not_prove_that_the_request_has_ended(  # noqa: PLR0917  # fixtures
    app: App, codat_wire: Proxy, clock: Clock, scene_of: Callable[[App], Scene], status: int, answer: Any
) -> None:
    """Only an error with Codat's correlation id proves that Codat has finished the request."""
    scene = scene_of(app)
    late: list[Exchange] = []

    def still_running(exchange: Exchange) -> None:
        late.append(exchange)
        # A gateway sends neither 402 nor 500: with these the first answer is lost instead.
        (dropped if status in {402, 500} else responds(status, answer))(exchange)

    codat_wire.next(still_running, responds(status, answer), responds(status, answer))
    code, _, body = call(scene)
    assert code in {*scene.done, 409, 502}, body
    late[0].forward()
    completed(scene, clock)
    app.codat.wait_idle()
    scene.holds()


@pytest.mark.parametrize("scene_of", CREATIONS)
def test_a_rejected_retry_after_a_lost_answer_finds_what_was_created(
    app: App, codat_wire: Proxy, scene_of: Callable[[App], Scene]
) -> None:
    scene = scene_of(app)
    codat_wire.next(lost, responds(402, CORRELATION))
    status, _, body = call(scene)
    assert status in scene.done, body
    app.codat.wait_idle()
    scene.holds()


def test_a_company_whose_tag_differs_in_case_is_not_adopted(app: App, codat_wire: Proxy, clock: Clock) -> None:
    """GIVEN a filter at Codat that ignores case THEN only a company with exactly the customer's id is adopted."""
    scene = creating_a_company(app)
    customer_id = json.loads(scene.event["body"])["customerId"]
    other = app.codat.state.create_company(CompanyChange(name="Other", tags={"uid": customer_id.upper()}))
    other_company = {"id": other.id, "name": "Other", "tags": other.tags}

    def ignore_case(exchange: Exchange) -> None:
        if exchange.operation == "GET /companies":
            responds(200, {"results": [other_company], "totalResults": 1})(exchange)
        else:
            passed_on(exchange)

    codat_wire.next(responds(500, ERROR_500))
    codat_wire.always(ignore_case)
    completed(scene, clock)
    assert app.get(f"/customers/{customer_id}").json()["companyId"] != other.id


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_if_time_allows(app: App, codat_wire: Proxy, clock: Clock, status: int) -> None:
    scene = creating_a_company(app)
    codat_wire.next(responds(status, CORRELATION, retry_after="17"))
    # More than a function has, so that a busy machine leaves enough for the wait.
    assert call(scene, Context(60.0))[0] in scene.done
    assert 17 <= clock.ahead.total_seconds() < 18


@pytest.mark.parametrize("status", [400, 401, 402, 403])
def test_a_rejection_is_not_retried(app: App, codat_wire: Proxy, status: int) -> None:
    scene = creating_a_connection(app)

    def refused(exchange: Exchange) -> None:
        (responds(status, {**CORRELATION, "statusCode": status}) if exchange.method == "POST" else passed_on)(exchange)

    codat_wire.always(refused)
    before = len(codat_wire.seen)
    assert call(scene)[0] == 502
    [company] = app.codat.state.companies()
    path = f"/companies/{company.id}/connections"
    assert codat_wire.seen[before:] == [f"GET {path}", f"POST {path}"]


def test_a_call_that_cannot_read_the_secret_releases_its_lease(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repeated call need not wait for the lease to expire."""
    scene = creating_a_company(app)

    def fail() -> str:
        raise SecretsUnavailable("unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(secrets.secrets(), "api_key", fail)
        assert call(scene)[0] == 503
    assert call(scene)[0] in scene.done
    scene.holds()


def test_an_event_earlier_in_the_second_of_a_change_does_not_undo_it(app: App, codat_wire: Proxy) -> None:
    """`Date` has whole seconds and webhooks have fractions: a link before the unlink must not outrank it."""
    connection = app.connection(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    time.sleep(1.02 - datetime.now(UTC).microsecond / 1e6)
    linked_at = datetime.now(UTC)
    app.codat.state.link(connection["companyId"], connection["connectionId"])
    about = {name: connection[name] for name in ("customerId", "connectionId")}
    unlink = Scene("functions.unlink_connection.app", api_event("unlink_connection", **about), (200,), lambda: None)
    in_that_second = format_datetime(linked_at.replace(microsecond=0), usegmt=True)
    codat_wire.next(dated(in_that_second))
    assert call(unlink)[2]["status"] == "Unlinked"
    event = webhook_about(
        "connection.connected",
        company_id=connection["companyId"],
        connection_id=connection["connectionId"],
        generatedDate=linked_at.isoformat(),
    )
    assert app.deliver(event).status_code == 204
    assert app.read(connection)["status"] == "Unlinked"


def test_a_slow_read_does_not_undo_a_later_update(app: App, codat_wire: Proxy) -> None:
    """The time of a read is when it was requested: an update during the read is newer."""
    scene = creating_a_connection(app)
    assert call(scene)[0] in scene.done
    app.codat.wait_idle()
    [company] = app.codat.state.companies()
    [connection_id] = company.connections

    def link_meanwhile(exchange: Exchange) -> None:
        answer = exchange.forward()
        app.codat.state.link(company.id, connection_id)
        app.codat.wait_idle()
        time.sleep(2)
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "date"}
        exchange.answer(Answer(answer.status, {**headers, "Date": format_datetime(datetime.now(UTC))}, answer.body))

    codat_wire.next(link_meanwhile)
    status, _, body = call(scene)
    assert status in scene.done, body
    ids = {"customerId": company.tags["uid"], "connectionId": connection_id}
    assert app.read(ids)["status"] == "Linked"


@pytest.mark.parametrize("answer", [b"<html>500</html>", ERROR_500])
@pytest.mark.parametrize("scene_of", CREATIONS)
def test_an_error_that_codat_repeats_for_an_idempotency_key_is_recovered_from(
    app: App, codat_wire: Proxy, clock: Clock, scene_of: Callable[[App], Scene], answer: Any
) -> None:
    """Under another key the call completes: within 10 s after an error of Codat's, otherwise within 400 s."""
    scene = scene_of(app)
    failing_keys: set[str] = set()

    def repeat_error(exchange: Exchange) -> None:
        key = exchange.headers.get("idempotency-key")
        if key is not None and (not failing_keys or key in failing_keys):
            failing_keys.add(key)
            responds(500, answer)(exchange)
        else:
            passed_on(exchange)

    codat_wire.always(repeat_error)
    completed(scene, clock, within=10 if answer == ERROR_500 else 400)
    app.codat.wait_idle()
    scene.holds()
