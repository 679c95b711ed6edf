"""A wire between the code under test and a server, on which a test lets things go wrong.

    with Proxy(upstream) as proxy:
        proxy.url                          # what the code is given instead of the server's own
        proxy.next(lost, throttled)        # the next two exchanges; what follows goes through
        proxy.always(dropped)              # until proxy.heal()
        proxy.seen                         # the requests that came, in order

A behaviour is a function of the exchange. Nothing of the code under test is replaced.
"""

import http.client
import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
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
    """One request on its way, and what may become of it."""

    def __init__(self, handler: BaseHTTPRequestHandler, proxy: "Proxy", body: bytes) -> None:
        self._handler = handler
        self._proxy = proxy
        self.method = handler.command
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = body

    @property
    def operation(self) -> str:
        """What is asked of AWS ("PutItem"); of others, the method and the path."""
        target = self.headers.get("x-amz-target", "")
        return target.rpartition(".")[2] or f"{self.method} {urlsplit(self.path).path}"

    def forward(self) -> Answer:
        """Lets the server do its work."""
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

    def write(self, piece: bytes) -> None:
        self._handler.wfile.write(piece)
        self._handler.wfile.flush()

    def drop(self) -> None:
        """Ends the connection as it is."""
        self._handler.close_connection = True
        with suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)

    def hold(self, seconds: float = 60.0) -> bool:
        """Waits; False once the test is over, which it waits for no longer."""
        return not self._proxy.closing.wait(seconds)


Behaviour = Callable[[Exchange], None]


def passed_on(exchange: Exchange) -> None:
    exchange.answer(exchange.forward())


def dropped(exchange: Exchange) -> None:
    """The request never arrives."""
    exchange.drop()


def lost(exchange: Exchange) -> None:
    """The work is done, and its answer lost."""
    exchange.forward()
    exchange.drop()


def silent(exchange: Exchange) -> None:
    """Nobody ever answers."""
    exchange.hold()
    exchange.drop()


def responds(status: int, body: Any, **headers: str) -> Behaviour:
    """An answer that the server knows nothing of; `body` as it is where it is bytes, otherwise as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def tell(exchange: Exchange) -> None:
        exchange.answer(Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw))

    return tell


class HeldBack:
    """Drops the requests of one method. They still run at the server, when the test calls `Exchange.forward`."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.exchanges: list[Exchange] = []

    def __call__(self, exchange: Exchange) -> None:
        if exchange.method != self.method:
            return passed_on(exchange)
        self.exchanges.append(exchange)
        return dropped(exchange)


def before_the_answer(method: str, act: Callable[[], None]) -> Behaviour:
    """Let the server do its work, and call `act` before the answer to a request of this method arrives."""

    def answer(exchange: Exchange) -> None:
        answered = exchange.forward()
        if exchange.method == method:
            act()
        exchange.answer(answered)

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
        # A kept connection would hold up the end of the test.
        timeout = 5

        def handle_one_request(self) -> None:
            with suppress(ConnectionError):
                super().handle_one_request()

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            with suppress(ConnectionError):  # whoever asked has gone
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
