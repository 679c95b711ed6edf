"""Codat slow, silent or answering nonsense: a clear problem in time, and the same call then completes."""

import gzip
import importlib
import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from threading import Thread
from typing import Any

import pytest
from codat_simulator.faults import Fault
from codat_simulator.state import CompanyChange

from shared import bootstrap
from shared.domain.errors import SecretsUnavailable
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

SECONDS = 6.6
"""That the function has; six of them are kept back for storing what Codat says."""
ANSWERED_WITHIN = 2.0

CORRELATION = {"statusCode": 503, "error": "Codat is down", "correlationId": "c-1", "service": "x"}
ERROR_500 = {**CORRELATION, "statusCode": 500}
UNAVAILABLE, TIMED_OUT = (502, "codat-unavailable"), (504, "codat-unavailable")
RATE_LIMITED = (429, "codat-rate-limited")


def worked_but(behaviour: Behaviour) -> Behaviour:
    """The work is done; what comes back is something else."""

    def behave(exchange: Exchange) -> None:
        exchange.forward()
        behaviour(exchange)

    return behave


def dated(date: str) -> Behaviour:
    """The true answer, of an absurd time."""

    def behave(exchange: Exchange) -> None:
        answer = exchange.forward()
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "date"}
        exchange.answer(Answer(answer.status, {**headers, "Date": date}, answer.body))

    return behave


def dripping(exchange: Exchange) -> None:
    """A byte of the body at a time, each well within any read timeout, and never done."""
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    for _ in range(60):
        exchange.write(b" ")
        if not exchange.hold(0.05):
            break
    exchange.drop()


def huge(exchange: Exchange) -> None:
    """More than any answer of Codat's."""
    exchange.begin(200, {"Content-Length": str(40 * 1024 * 1024)})
    for _ in range(40):
        exchange.write(b" " * 1024 * 1024)


def garbled(exchange: Exchange) -> None:
    """No HTTP."""
    exchange.write(b"\x00\xff not HTTP\r\n\r\n")
    exchange.drop()


def cut_short(exchange: Exchange) -> None:
    """Less than was announced."""
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
    "html": (worked_but(responds(200, b"<html>It works!</html>", content_type="text/html")), UNAVAILABLE),
    "html error": (responds(503, b"<html>Bad gateway</html>", content_type="text/html"), UNAVAILABLE),
    "a page": (responds(200, b"<html>Sign in</html>", content_type="text/html"), UNAVAILABLE),
    "empty": (worked_but(responds(200, b"")), UNAVAILABLE),
    "no content": (worked_but(responds(204, b"")), UNAVAILABLE),
    "null": (worked_but(responds(200, None)), UNAVAILABLE),
    "another shape": (worked_but(responds(200, [1, "x"])), UNAVAILABLE),
    "wrong types": (worked_but(responds(200, {"id": 7, "results": "x", "totalResults": {}, "status": 0})), UNAVAILABLE),
    "no UTF-8": (worked_but(responds(200, b'{"id": "\xff"}')), UNAVAILABLE),
    "deep": (worked_but(responds(200, b"[" * 100_000)), UNAVAILABLE),
    "no gzip": (worked_but(responds(200, b"{}", content_encoding="gzip")), UNAVAILABLE),
    "gzip of nonsense": (worked_but(responds(200, gzip.compress(b"}" * 10**6), content_encoding="gzip")), UNAVAILABLE),
    "elsewhere": (responds(302, b"", location="http://127.0.0.1:9/"), UNAVAILABLE),
    "an error": (responds(503, CORRELATION), UNAVAILABLE),
    "an error of wrong types": (responds(500, {"error": 7, "correlationId": []}), UNAVAILABLE),
    "limited": (responds(429, CORRELATION, retry_after="7"), RATE_LIMITED),
    "limited until then": (responds(429, {}, retry_after="Fri, 31 Dec 9999 23:59:59 GMT"), RATE_LIMITED),
    "limited until nonsense": (
        responds(429, {}, retry_after="Mon, 1 Jan 99999999999999999999 00:00:00 GMT"),
        RATE_LIMITED,
    ),
    "limited until the past": (responds(429, {}, retry_after="-5"), RATE_LIMITED),
    "limited in words": (responds(429, b"slow down", retry_after="soon"), RATE_LIMITED),
    "limited without end": (responds(429, {}, retry_after="9" * 400), RATE_LIMITED),
}


def call(scene: Scene, seconds: float = 28.0) -> tuple[int, dict[str, str], Any]:
    answer = importlib.import_module(scene.handler).handler(scene.event, Context(seconds))
    return answer["statusCode"], answer["headers"], json.loads(answer["body"]) if answer["body"] else None


def completed(scene: Scene, clock: Clock, within: float = 400.0) -> float:
    """Repeat the call as its answers say until it completes; the seconds waited."""
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
    """One failure after the other, each under the traces of those before it; then all is well."""
    told_otherwise = {}
    for name in names:
        behaviour, expected = BEHAVIOURS[name]
        wire.always(behaviour)
        started = time.monotonic()
        status, headers, problem = call(scene, SECONDS)
        seconds = time.monotonic() - started
        if status in scene.done:
            break  # the work was done, and this call needs no more of an answer than that
        # On a busy machine the time may be over before Codat has said all of its nonsense.
        if (status, problem["type"]) not in {expected, TIMED_OUT} or seconds > ANSWERED_WITHIN:
            told_otherwise[name] = (status, problem["type"], round(seconds, 1))
        assert headers["content-type"] == "application/problem+json", name
        carried = name in {"an error", "limited"} and (status, problem["type"]) != TIMED_OUT
        assert problem.get("correlationId") == ("c-1" if carried else None), name
        if status == 429:
            assert int(headers["retry-after"]) >= 1
    assert told_otherwise == {}
    wire.heal()
    completed(scene, clock)
    app.codat.wait_idle()
    scene.holds()


@pytest.mark.parametrize("scene_of", [scene for scene in SCENES if not scene.__name__.startswith("webhook")])
def test_every_caller_is_told_in_time_and_the_same_call_completes(
    app: App, codat_wire: Proxy, clock: Clock, scene_of: Callable[[App], Scene]
) -> None:
    """Silence, a lost answer, nonsense, an outage and a limit, of whatever is asked of Codat."""
    check(app, codat_wire, scene_of(app), ["silent", "a page", "lost", "html", "an error", "limited"], clock)


def test_whatever_codat_answers_is_a_clear_problem(app: App, codat_wire: Proxy, clock: Clock) -> None:
    """Every kind of nonsense, through one call."""
    check(app, codat_wire, creating_a_connection(app), BEHAVIOURS, clock)


@pytest.mark.parametrize(
    "date",
    [
        "yesterday",
        "",
        "Mon, 01 Jan 0001 00:00:00 +2300",
        "Fri, 31 Dec 9999 23:59:59 -2300",
        "Mon, 1 Jan 99999999999999999999 00:00:00 GMT",
    ],
)
def test_an_answer_of_an_absurd_time(app: App, codat_wire: Proxy, date: str) -> None:
    """What it says is taken all the same."""
    scene = creating_a_connection(app)
    codat_wire.always(dated(date))
    status, _, body = call(scene)
    assert status in scene.done, body
    scene.holds()


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=365 * 30)])
def test_an_answer_from_the_future_silences_no_webhook(app: App, codat_wire: Proxy, ahead: timedelta) -> None:
    """What Codat says after an answer of a time that can't be is still the newest."""
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
    known = {"customerId": company.tags["uid"], "connectionId": connection_id}
    assert app.read(known)["status"] == "Linked"


CREATIONS = [creating_a_company, creating_a_connection]


def work_late(exchange: Exchange) -> None:
    time.sleep(1.5)
    exchange.forward()


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, {}),
        (502, b"<html>Bad gateway</html>"),
        (503, {"message": "Service Unavailable"}),
        (524, {}),
        (200, b"<html>One moment please</html>"),
        (402, {}),
    ],
)
@pytest.mark.parametrize("scene_of", CREATIONS)
def test_a_gateway_s_answer_does_not_end_a_request_that_still_runs(  # noqa: PLR0917  # fixtures
    app: App, codat_wire: Proxy, clock: Clock, scene_of: Callable[[App], Scene], status: int, answer: Any
) -> None:
    """It is the same for every request: only with Codat's correlation id does it tell that the work is over."""
    scene = scene_of(app)
    at_work: list[Thread] = []

    def still_running(exchange: Exchange) -> None:
        at_work.append(Thread(target=work_late, args=(exchange,)))
        at_work[0].start()
        # These are no gateway's, where every request was answered: here nothing at all came back.
        (dropped if status in {402, 500} else responds(status, answer))(exchange)

    codat_wire.next(still_running, responds(status, answer), responds(status, answer))
    code, _, body = call(scene)
    assert code in {*scene.done, 409, 502}, body
    at_work[0].join()
    completed(scene, clock)
    app.codat.wait_idle()
    scene.holds()


@pytest.mark.parametrize("scene_of", CREATIONS)
def test_a_refusal_after_the_work_was_done(app: App, codat_wire: Proxy, scene_of: Callable[[App], Scene]) -> None:
    """The first request worked though its answer was lost: what it made is found, and the refusal is no answer."""
    scene = scene_of(app)
    codat_wire.next(lost, responds(402, CORRELATION))
    status, _, body = call(scene)
    assert status in scene.done, body
    app.codat.wait_idle()
    scene.holds()


def test_a_company_of_nearly_the_same_id_is_not_ours(app: App, codat_wire: Proxy, clock: Clock) -> None:
    """Codat's filter is a hint: what it finds is believed only where the tag is the very id."""
    scene = creating_a_company(app)
    customer_id = json.loads(scene.event["body"])["customerId"]
    other = app.codat.state.create_company(CompanyChange(name="Other", tags={"uid": customer_id.upper()}))
    found = {"id": other.id, "name": "Other", "tags": other.tags}

    def careless(exchange: Exchange) -> None:
        if exchange.operation == "GET /companies":
            responds(200, {"results": [found], "totalResults": 1})(exchange)
        else:
            passed_on(exchange)

    codat_wire.next(responds(500, ERROR_500))
    codat_wire.always(careless)
    completed(scene, clock)
    assert app.get(f"/customers/{customer_id}").json()["companyId"] != other.id


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(app: App, codat_wire: Proxy, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Where it fits into the call."""
    scene = creating_a_company(app)
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    codat_wire.next(responds(status, CORRELATION, retry_after="17"))
    assert call(scene)[0] in scene.done
    assert 17 in waited


@pytest.mark.parametrize("status", [400, 401, 402, 403])
def test_what_cannot_succeed_is_asked_once(app: App, codat_wire: Proxy, status: int) -> None:
    """Only where the error says so is anything tried again."""
    scene = creating_a_connection(app)

    def refused(exchange: Exchange) -> None:
        (responds(status, {**CORRELATION, "statusCode": status}) if exchange.method == "POST" else passed_on)(exchange)

    codat_wire.always(refused)
    before = len(codat_wire.seen)
    assert call(scene)[0] == 502
    [company] = app.codat.state.companies()
    path = f"/companies/{company.id}/connections"
    assert codat_wire.seen[before:] == [f"GET {path}", f"POST {path}"]


def test_a_secret_that_cannot_be_read_in_the_middle_blocks_nobody(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim is given back: the same call, repeated, goes on at once."""
    scene = creating_a_company(app)

    def gone() -> str:
        raise SecretsUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(bootstrap.secrets(), "api_key", gone)
        assert call(scene)[0] == 503
    assert call(scene)[0] in scene.done
    scene.holds()


def test_what_happened_earlier_in_the_second_of_a_change_is_older(app: App, codat_wire: Proxy) -> None:
    """`Date` has whole seconds, webhooks have fractions: the link before the unlink must not come out as the newer."""
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


def test_a_slow_read_does_not_undo_what_happened_meanwhile(app: App, codat_wire: Proxy) -> None:
    """It is as old as its question: what came while it was under way is newer."""
    scene = creating_a_connection(app)
    assert call(scene)[0] in scene.done
    app.codat.wait_idle()
    [company] = app.codat.state.companies()
    [connection_id] = company.connections

    def overtaken(exchange: Exchange) -> None:
        answer = exchange.forward()
        app.codat.state.link(company.id, connection_id)
        app.codat.wait_idle()
        time.sleep(2)
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "date"}
        exchange.answer(Answer(answer.status, {**headers, "Date": format_datetime(datetime.now(UTC))}, answer.body))

    codat_wire.next(overtaken)
    status, _, body = call(scene)
    assert status in scene.done, body
    known = {"customerId": company.tags["uid"], "connectionId": connection_id}
    assert app.read(known)["status"] == "Linked"


@pytest.mark.parametrize("answer", [b"", b"<html>500</html>", [1, {}], {"correlationId": {}, "error": 7}, ERROR_500])
@pytest.mark.parametrize("scene_of", CREATIONS)
def test_an_error_that_codat_remembers_is_got_over(
    app: App, codat_wire: Proxy, clock: Clock, scene_of: Callable[[App], Scene], answer: Any
) -> None:
    """Whatever it looks like: under another key the same call completes, if not at once then within about 6 minutes."""
    scene = scene_of(app)
    failed: set[str] = set()

    def remembered(exchange: Exchange) -> None:
        key = exchange.headers.get("idempotency-key")
        if key is not None and (not failed or key in failed):
            failed.add(key)
            responds(500, answer)(exchange)
        else:
            passed_on(exchange)

    codat_wire.always(remembered)
    completed(scene, clock, within=10 if answer == ERROR_500 else 400)
    app.codat.wait_idle()
    scene.holds()
