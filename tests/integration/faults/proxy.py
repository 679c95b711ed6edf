"""An HTTP proxy between the code under test and a server, in which a test causes failures.

    with Proxy(upstream) as proxy:
        proxy.url                          # the code under test uses it instead of the server's URL
        proxy.next(lost, throttled)        # the next two exchanges; later ones are forwarded
        proxy.always(dropped)              # until proxy.heal()
        proxy.seen                         # the operations of the requests, in order

A behaviour is a function that handles an exchange. No part of the code under test is replaced.
"""

import http.client
import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

_HOP_BY_HOP = frozenset({"connection", "content-length", "server", "transfer-encoding"})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """A request that has reached the proxy, and the ways to handle it."""

    def __init__(self, handler: BaseHTTPRequestHandler, proxy: "Proxy", body: bytes) -> None:
        self._handler = handler
        self._proxy = proxy
        self.method = handler.command
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = body

    @property
    def operation(self) -> str:
        """The operation of an AWS request ("PutItem"); of other requests the method and the path."""
        target = self.headers.get("x-amz-target", "")
        return target.rpartition(".")[2] or f"{self.method} {urlsplit(self.path).path}"

    def forward(self) -> Answer:
        """Send the request to the server and return its answer."""
        connection = http.client.HTTPConnection(self._proxy.upstream, timeout=30)
        try:
            connection.request(self.method, self.path, self.body, self.headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def answer(self, answer: Answer) -> None:
        self.begin(answer.status, {**answer.headers, "Content-Length": str(len(answer.body))})
        self.write(answer.body)

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self._handler.send_response_only(status)
        for name, value in headers.items():
            if name == "Content-Length" or name.lower() not in _HOP_BY_HOP:
                self._handler.send_header(name, value)
        self._handler.end_headers()

    def write(self, data: bytes) -> None:
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def drop(self) -> None:
        """Close the connection without a further byte."""
        self._handler.close_connection = True
        with suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)

    def hold(self, seconds: float = 60.0) -> bool:
        """Wait. Return False, and end the wait early, if the test has ended."""
        return not self._proxy.closing.wait(seconds)


Behaviour = Callable[[Exchange], None]


def passed_on(exchange: Exchange) -> None:
    exchange.answer(exchange.forward())


def dropped(exchange: Exchange) -> None:
    """Close the connection before the request reaches the server."""
    exchange.drop()


def lost(exchange: Exchange) -> None:
    """Forward the request, and close the connection instead of passing the answer on."""
    exchange.forward()
    exchange.drop()


def silent(exchange: Exchange) -> None:
    """Keep the connection open without an answer."""
    exchange.hold()
    exchange.drop()


def responds(status: int, body: Any, **headers: str) -> Behaviour:
    """Return a behaviour that answers in place of the server. A `body` that is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def respond(exchange: Exchange) -> None:
        exchange.answer(Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw))

    return respond


def changed(operation: str, change: Callable[[dict[str, Any]], object]) -> Behaviour:
    """Forward each request. In the answer to a GET whose operation ends like this, change the JSON document."""

    def respond(exchange: Exchange) -> None:
        answer = exchange.forward()
        if exchange.method == "GET" and exchange.operation.endswith(operation):
            document = json.loads(answer.body)
            change(document)
            answer = replace(answer, body=json.dumps(document).encode())
        exchange.answer(answer)

    return respond


class HeldBack:
    """Drop the requests with this method. A test can send them to the server later by `Exchange.forward`."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.exchanges: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> None:
        if exchange.method != self.method:
            return passed_on(exchange)
        self.exchanges.append(exchange)
        return dropped(exchange)


def before_the_answer(method: str, act: Callable[[], None]) -> Behaviour:
    """Forward each request. After those with this method, call `act` before the answer is passed on."""

    def answer(exchange: Exchange) -> None:
        forwarded = exchange.forward()
        if exchange.method == method:
            act()
        exchange.answer(forwarded)

    return answer


class Proxy:
    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.closing = threading.Event()
        self.seen: list[str] = []
        self._next: deque[Behaviour] = deque()
        self._always: Behaviour = passed_on
        self._lock = threading.Lock()
        self._server = _server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="proxy", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def next(self, *behaviours: Behaviour) -> None:
        self._next.extend(behaviours)

    def always(self, behaviour: Behaviour) -> None:
        self._always = behaviour

    def heal(self) -> None:
        self._next.clear()
        self._always = passed_on

    def handle(self, exchange: Exchange) -> None:
        with self._lock:
            self.seen.append(exchange.operation)
            behaviour = self._next.popleft() if self._next else self._always
        behaviour(exchange)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _server(proxy: Proxy) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        # An idle keep-alive connection would delay the end of the test.
        timeout = 5

        def handle_one_request(self) -> None:
            with suppress(ConnectionError):
                super().handle_one_request()

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            with suppress(ConnectionError):  # the client has closed the connection
                proxy.handle(Exchange(self, proxy, body))

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = serve  # noqa: N815  # http.server looks for these names

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            pass

    return Server(("127.0.0.1", 0), Handler)
