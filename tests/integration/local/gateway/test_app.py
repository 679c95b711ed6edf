"""The gateway over HTTP, with fake handlers."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from local.gateway.activity import Activity
from local.gateway.app import Gateway, application
from local.gateway.console_routes import console_routes
from local.gateway.exchanges import Exchange
from local.gateway.lambda_context import LambdaContext
from local.gateway.server import bind, serving
from local.template import Function, Route

Handler = Callable[[dict[str, Any], LambdaContext], Any]

ROUTES = [
    Route("POST", "/things", "F", iam=True),
    Route("GET", "/things/first", "First", iam=True),
    Route("GET", "/things/{thingId}", "F", iam=True),
    Route("GET", "/files/{rest+}", "F", iam=False),
    Route("GET", "/connect/{token}", "F", iam=False),
    Route("POST", "/connect/{token}", "F", iam=False),
    Route("POST", "/webhooks/codat", "F", iam=False),
]


EMPTY_STACK: Any = SimpleNamespace(
    template=SimpleNamespace(routes=ROUTES),
    table_name="table",
    dynamodb=SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: [])),
    codat=None,
    events=list,
    reconcile=SimpleNamespace(run=dict),
)


def echo(event: dict[str, Any], _: LambdaContext) -> Any:
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}


@contextmanager
def gateway(
    handler: Handler,
    *,
    timeout: int = 29,
    integration_timeout: float = 30,
    on_exchange: Callable[[Exchange], None] | None = None,
) -> Iterator[httpx.Client]:
    functions = {name: Function(name, f"functions.{name}.app.handler", timeout, 512, {}) for name in ("F", "First")}
    handlers: dict[str, Handler] = {"F": handler, "First": lambda *_: {"statusCode": 200, "body": "the first"}}
    app = Gateway(
        routes=ROUTES,
        functions=functions,
        handlers=handlers,
        observers=[on_exchange] if on_exchange else [],
        integration_timeout=integration_timeout,
    )
    console = console_routes(EMPTY_STACK, Activity())
    with serving(application(app, console), bind(0)) as url, httpx.Client(base_url=url, timeout=20) as client:
        yield client


def test_the_most_specific_route_is_used() -> None:
    """Parameters are decoded, and a greedy parameter matches the rest of the path."""
    with gateway(echo) as client:
        assert client.get("/things/first").text == "the first"
        event = client.get("/things/caf%C3%A9%20a?x=1").json()
        assert event["routeKey"] == "GET /things/{thingId}"
        assert event["pathParameters"] == {"thingId": "café a"}
        assert event["queryStringParameters"] == {"x": "1"}
        assert client.get("/files/a/b").json()["pathParameters"] == {"rest": "a/b"}
        assert client.get("/things/a%0Ab").json()["pathParameters"] == {"thingId": "a\nb"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/nowhere"), ("GET", "/nowhere"), ("GET", "/things/"), ("GET", "/things/a/b"), ("DELETE", "/things/a")],
)
def test_a_request_without_a_route_gets_api_gateways_404(method: str, path: str) -> None:
    """The path or the method is unknown."""
    with gateway(echo) as client:
        response = client.request(method, path)
    assert (response.status_code, response.json()) == (404, {"message": "Not Found"})


def test_the_context_returns_the_remaining_time() -> None:
    """GIVEN a timeout of 7 s THEN the remaining time is less, and decreases."""

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


def test_a_handler_that_raises_gets_500_without_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the traceback."""

    def handler(*_: Any) -> Any:
        raise RuntimeError("secret detail")

    with gateway(handler) as client:
        response = client.post("/things")
    assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("raised", [SystemExit(3), TimeoutError("mine")])
def test_the_gateway_survives_every_exception_of_a_handler(raised: BaseException) -> None:
    """The request gets 500; the next is served."""
    calls: list[str] = []

    def handler(*_: Any) -> Any:
        calls.append("")
        if len(calls) == 1:
            raise raised
        return {"statusCode": 204}

    with gateway(handler) as client:
        assert client.post("/things").status_code == 500
        assert client.post("/things").status_code == 204


def test_a_malformed_result_gets_500() -> None:
    """API Gateway does the same."""
    with gateway(lambda *_: {"statusCode": 200, "body": {"not": "text"}}) as client:
        assert client.post("/things").json() == {"message": "Internal Server Error"}


def test_api_gateway_returns_503_after_30_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """GIVEN a handler slower than the integration timeout (shortened here) THEN its result is ignored."""
    released = threading.Event()

    def handler(*_: Any) -> Any:
        released.wait(10)
        return {"statusCode": 200}

    with gateway(handler, integration_timeout=0.1) as client:
        response = client.post("/things")
        released.set()
        assert client.get("/things/first").status_code == 200
    assert (response.status_code, response.json()) == (503, {"message": "Service Unavailable"})
    assert "has not answered within 0.1 seconds" in caplog.text


def test_a_function_that_exceeds_its_own_timeout_gets_500() -> None:
    """Lambda stops it before API Gateway's timeout."""
    released = threading.Event()

    def handler(*_: Any) -> Any:
        released.wait(10)

    with gateway(handler, timeout=0) as client:
        response = client.post("/things")
        released.set()
    assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})


def test_requests_are_served_concurrently() -> None:
    """GIVEN 32 handlers that wait for each other THEN all requests are answered."""
    together = threading.Barrier(32, timeout=15)

    def handler(*_: Any) -> Any:
        together.wait()
        return {"statusCode": 204}

    with gateway(handler) as client, ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(lambda _: client.post("/things").status_code, range(32)))
    assert statuses == [204] * 32


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_10_mb_gets_413(chunked: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """With and without Content-Length. The function is not invoked."""
    megabyte = b"x" * 1024 * 1024

    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield megabyte

    with gateway(lambda *_: {"statusCode": 204}) as client:
        response = client.post("/things", content=chunks() if chunked else megabyte * 11)
        assert client.post("/things", content=megabyte * 10).status_code == 204
    assert (response.status_code, response.json()) == (413, {"message": "Request Entity Too Large"})


def test_on_exchange_is_called_for_each_request() -> None:
    """Also for requests without a function."""
    exchanges: list[Exchange] = []
    with gateway(lambda *_: {"statusCode": 201, "body": "ok"}, on_exchange=exchanges.append) as client:
        response = client.post("/things?a=1", content=b"in")
        client.get("/nowhere")
    first, second = exchanges
    assert (first.method, first.path, first.request_body, first.status) == ("POST", "/things", b"in", 201)
    assert (second.method, second.path, second.status) == ("GET", "/nowhere", 404)
    assert response.headers["apigw-requestid"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/connect/a-secret-token?a=1", 200),
        ("OPTIONS", "/connect/a-secret-token", 404),
        ("PUT", "/connect/a-secret-token", 404),
        ("GET", "/connect/a-secret-token/", 404),
        ("GET", "/connect/%0Aa-secret-token", 200),
        ("GET", "/%63onnect/a-secret-token", 200),
    ],
)
def test_an_exchange_does_not_contain_an_invitations_token(method: str, path: str, status: int) -> None:
    """Exchanges are printed, also those without a route."""
    exchanges: list[Exchange] = []
    with gateway(lambda *_: {"statusCode": 200, "body": "ok"}, on_exchange=exchanges.append) as client:
        assert client.request(method, path).status_code == status
    assert [exchange.path for exchange in exchanges] == ["/connect/…"]


def test_headers_above_api_gateways_limit_reach_the_function() -> None:
    """So tests can send oversized signatures to it."""
    with gateway(echo) as client:
        event = client.post("/things", headers={"webhook-signature": "v1," + "A" * 200_000}).json()
    assert len(event["headers"]["webhook-signature"]) == 200_003


def test_a_client_that_disconnects_is_ignored() -> None:
    """GIVEN a client that disconnects within its body THEN the next request is served."""
    with gateway(echo) as client:
        with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as connection:
            connection.sendall(b"POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert client.get("/things/first").status_code == 200


def test_the_console_routes_are_beside_the_api() -> None:
    """The console, the table, the bus and reconcile."""
    with gateway(echo) as client:
        page = client.get("/", follow_redirects=True)
        assert "<title>codat-customers on one machine</title>" in page.text
        assert client.get("/_local/table").json() == []
        assert client.get("/_local/events").json() == []
        assert client.post("/_local/reconcile").json() == {}
        assert client.get("/_local/nowhere").status_code == 404


def test_the_console_may_run_nothing_from_elsewhere() -> None:
    """Its files aren't cached, because a restarted stack may have others."""
    with gateway(echo) as client:
        for path in ("/_local/", "/_local/console.js", "/_local/table", "/_local/nowhere"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/_local/table", {"host": "127.0.0.1:3000"}, 200),
        ("GET", "/_local/table", {"host": "localhost"}, 200),
        ("GET", "/_local/table", {"host": "evil.example"}, 403),
        ("GET", "/_local/openapi.json", {"host": "evil.example"}, 403),
        ("POST", "/_local/reconcile", {"origin": "https://evil.example"}, 403),
        ("POST", "/_local/reconcile", {"host": "localhost:3000", "origin": "http://localhost:3000"}, 200),
        ("POST", "/_local/reconcile", {"host": "localhost:3000", "origin": "http://localhost:5173"}, 403),
        ("POST", "/_local/reconcile", {"origin": "null"}, 403),
        ("POST", "/_local/reconcile", {}, 200),
        ("POST", "/things", {}, 200),
        ("POST", "/things", {"host": "localhost:3000", "origin": "http://localhost:3000"}, 200),
        ("POST", "/things", {"origin": "https://evil.example", "content-type": "text/plain"}, 403),
        ("POST", "/things", {"origin": "null"}, 403),
        ("POST", "/things", {"host": "localhost.evil.example"}, 403),
        ("GET", "/things/a", {"host": "evil.example:3000"}, 403),
        ("GET", "/things/a", {"origin": "https://evil.example"}, 403),
        ("GET", "/nowhere", {"host": "evil.example"}, 403),
        ("POST", "/connect", {"host": "evil.example"}, 403),
    ],
)
def test_another_website_may_not_use_the_server(method: str, path: str, headers: dict[str, str], status: int) -> None:
    """Neither by a request of a page, nor by a name that resolves to 127.0.0.1. No function is invoked."""
    events: list[Any] = []

    def handler(event: dict[str, Any], _: LambdaContext) -> Any:
        events.append(event)
        return {"statusCode": 200}

    with gateway(handler) as client:
        response = client.request(method, path, headers=headers)
    assert response.status_code == status
    if status == 403:
        assert events == []
        assert response.json()["detail"].startswith(f"The header {'Origin' if 'origin' in headers else 'Host'} ")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/webhooks/codat"), ("GET", "/connect/token"), ("POST", "/connect/token")]
)
def test_a_tunnel_reaches_the_public_routes(method: str, path: str) -> None:
    """The form of an invitation's page sends `Origin: null`."""
    with gateway(echo) as client:
        headers = {"host": "a1b2.tunnel.example", "origin": "null"}
        assert client.request(method, path, headers=headers).status_code == 200


def test_successful_requests_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log contains no body and no path."""
    with caplog.at_level(logging.DEBUG, "local"), gateway(echo) as client:
        client.post("/things", content=b"private")
    assert [record for record in caplog.records if record.name.startswith("local")] == []
