"""The gateway over HTTP, with handlers of a few lines."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from local.gateway.app import Exchange, Gateway, application
from local.gateway.console_routes import local_routes
from local.gateway.lambda_context import LambdaContext
from local.gateway.server import bind, serving
from local.template import Function, Route

Handler = Callable[[dict[str, Any], LambdaContext], Any]

ROUTES = [
    Route("POST", "/things", "F", iam=True),
    Route("GET", "/things/first", "First", iam=True),
    Route("GET", "/things/{thingId}", "F", iam=True),
    Route("GET", "/files/{rest+}", "F", iam=False),
]


def echo(event: dict[str, Any], _: LambdaContext) -> Any:
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}


@contextmanager
def gateway(
    handler: Handler, *, timeout: int = 29, patience: float = 30, on_exchange: Callable[[Exchange], None] | None = None
) -> Iterator[httpx.Client]:
    functions = {name: Function(name, f"functions.{name}.app.handler", timeout, 512, {}) for name in ("F", "First")}
    handlers: dict[str, Handler] = {"F": handler, "First": lambda *_: {"statusCode": 200, "body": "the first"}}
    app = Gateway(
        routes=ROUTES, functions=functions, handlers=handlers, on_exchange=on_exchange, integration_timeout=patience
    )
    local = local_routes(table=list, events=list)
    with serving(application(app, local), bind(0)) as url, httpx.Client(base_url=url, timeout=20) as client:
        yield client


def test_routes_as_the_template_says() -> None:
    """The most specific route wins; parameters are decoded, and a greedy one takes the rest."""
    with gateway(echo) as client:
        assert client.get("/things/first").text == "the first"
        event = client.get("/things/caf%C3%A9%20a?x=1").json()
        assert event["routeKey"] == "GET /things/{thingId}"
        assert event["pathParameters"] == {"thingId": "café a"}
        assert event["queryStringParameters"] == {"x": "1"}
        assert client.get("/files/a/b").json()["pathParameters"] == {"rest": "a/b"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/nowhere"), ("GET", "/things/"), ("GET", "/things/a/b"), ("DELETE", "/things/a")],
)
def test_what_no_route_has_is_api_gateways_own_404(method: str, path: str) -> None:
    """An unknown path and an unknown method alike."""
    with gateway(echo) as client:
        response = client.request(method, path)
    assert (response.status_code, response.json()) == (404, {"message": "Not Found"})


def test_the_context_counts_down_from_the_timeout() -> None:
    """GIVEN a timeout of 7 s THEN the handler sees a little less, and less and less."""

    def handler(_: dict[str, Any], context: LambdaContext) -> Any:
        first = context.get_remaining_time_in_millis()
        time.sleep(0.02)
        return {
            "statusCode": 200,
            "body": json.dumps([first, context.get_remaining_time_in_millis(), context.invoked_function_arn]),
        }

    with gateway(handler, timeout=7) as client:
        first, second, arn = client.post("/things").json()
    assert 6000 < first <= 7000
    assert 0 < second <= first - 20
    assert arn == "arn:aws:lambda:eu-west-1:123456789012:function:F"


def test_a_handler_that_raises_is_500_without_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """The traceback is in the log, and nowhere else."""

    def handler(*_: Any) -> Any:
        raise RuntimeError("secret detail")

    with gateway(handler) as client:
        response = client.post("/things")
    assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("raised", [SystemExit(3), TimeoutError("mine")])
def test_nothing_that_a_handler_raises_ends_the_gateway(raised: BaseException) -> None:
    """It is that call's 500; the next call is served."""
    calls: list[str] = []

    def handler(*_: Any) -> Any:
        calls.append("")
        if len(calls) == 1:
            raise raised
        return {"statusCode": 204}

    with gateway(handler) as client:
        assert client.post("/things").status_code == 500
        assert client.post("/things").status_code == 204


def test_a_malformed_answer_is_500() -> None:
    """As API Gateway does."""
    with gateway(lambda *_: {"statusCode": 200, "body": {"not": "text"}}) as client:
        assert client.post("/things").json() == {"message": "Internal Server Error"}


def test_after_30_seconds_api_gateway_gives_up(caplog: pytest.LogCaptureFixture) -> None:
    """GIVEN a handler slower than API Gateway's patience (shortened here) THEN 503, and the late answer is lost."""
    released = threading.Event()

    def handler(*_: Any) -> Any:
        released.wait(10)
        return {"statusCode": 200}

    with gateway(handler, patience=0.1) as client:
        response = client.post("/things")
        released.set()
        assert client.get("/things/first").status_code == 200
    assert (response.status_code, response.json()) == (503, {"message": "Service Unavailable"})
    assert "has not answered within 0.1 seconds" in caplog.text


def test_a_function_past_its_own_timeout_is_500() -> None:
    """Lambda ends it first, which API Gateway reports as any failure."""
    released = threading.Event()

    def handler(*_: Any) -> Any:
        released.wait(10)

    with gateway(handler, timeout=0) as client:
        response = client.post("/things")
        released.set()
    assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})


def test_requests_are_served_concurrently() -> None:
    """GIVEN 32 handlers that wait for each other THEN all are answered: none waits for another's end."""
    together = threading.Barrier(32, timeout=15)

    def handler(*_: Any) -> Any:
        together.wait()
        return {"statusCode": 204}

    with gateway(handler) as client, ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(lambda _: client.post("/things").status_code, range(32)))
    assert statuses == [204] * 32


@pytest.mark.parametrize("chunked", [False, True])
def test_over_10_mb_is_413(chunked: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Whether the length is told first or not; the function never sees it."""
    megabyte = b"x" * 1024 * 1024

    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield megabyte

    with gateway(lambda *_: {"statusCode": 204}) as client:
        response = client.post("/things", content=chunks() if chunked else megabyte * 11)
        assert client.post("/things", content=megabyte * 10).status_code == 204
    assert (response.status_code, response.json()) == (413, {"message": "Request Entity Too Large"})


def test_every_exchange_is_told() -> None:
    """What the console shows: also of requests that no function answered."""
    told: list[Exchange] = []
    with gateway(lambda *_: {"statusCode": 201, "body": "ok"}, on_exchange=told.append) as client:
        response = client.post("/things?a=1", content=b"in")
        client.get("/nowhere")
    first, second = told
    assert (first.method, first.path, first.query_string, first.function) == ("POST", "/things", "a=1", "F")
    assert (first.request_body, first.status, first.response_body) == (b"in", 201, b"ok")
    assert response.headers["apigw-requestid"] == first.request_id
    assert (second.status, second.function) == (404, None)


def test_headers_larger_than_api_gateways_reach_the_function() -> None:
    """Its own refusal of absurd signatures can be seen."""
    with gateway(echo) as client:
        event = client.post("/things", headers={"webhook-signature": "v1," + "A" * 200_000}).json()
    assert len(event["headers"]["webhook-signature"]) == 200_003


def test_a_client_that_goes_away_harms_nobody() -> None:
    """GIVEN a client that hangs up in the middle of its body THEN the next one is served."""
    with gateway(echo) as client:
        with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as connection:
            connection.sendall(b"POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert client.get("/things/first").status_code == 200


def test_what_is_only_local_stands_beside_the_api() -> None:
    """The console, the table and the bus; reconcile says that it isn't there."""
    with gateway(echo) as client:
        page = client.get("/_local", follow_redirects=True)
        assert "<title>codat-customers on one machine</title>" in page.text
        assert client.get("/_local/table").json() == []
        assert client.get("/_local/events").json() == []
        reconcile = client.post("/_local/reconcile")
        assert reconcile.status_code == 501
        assert reconcile.headers["content-type"] == "application/problem+json"
        assert client.get("/_local/nowhere").status_code == 404


def test_the_log_is_quiet_about_what_went_well(caplog: pytest.LogCaptureFixture) -> None:
    """No body or path of a request gets into it."""
    with caplog.at_level(logging.DEBUG, "local"), gateway(echo) as client:
        client.post("/things", content=b"private")
    assert [record for record in caplog.records if record.name.startswith("local")] == []
