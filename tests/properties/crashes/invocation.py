"""Invoke a handler in a process of its own, and kill the process (SIGKILL) at a chosen request.

Every HTTP request of the handler, to AWS (botocore) or to Codat (httpx), is intercepted and counted. So the tests cover
a request that is added to a use case later.
"""

import importlib
import json
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any, Literal

Moment = Literal["before", "after"]

# The server has no threads and has done the imports, so that a fork takes about 50 ms.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["pytest", "tests.properties.crashes.preloaded", "tests.properties.crashes.invocation"]
)


@dataclass(frozen=True)
class KillPoint:
    """Where the process is killed: before a request is sent, or after its response has arrived."""

    request: int | str
    """The number of the request, from 0; or a name, for the first request of that name."""
    moment: Moment

    def matches(self, number: int, name: str, moment: Moment) -> bool:
        return self.request in {number, name} and self.moment == moment


def all_kill_points(requests: Sequence[str]) -> list[KillPoint]:
    """Return the kill points before the first request and after each one. "Before" equals "after" the previous one."""
    return [KillPoint(0, "before"), *(KillPoint(number, "after") for number in range(len(requests)))]


def first_and_last_of_each_name(requests: Sequence[str]) -> list[int]:
    """Return the numbers of the first and the last request of each name."""
    last = {name: number for number, name in enumerate(requests)}
    return sorted({*last.values(), *map(requests.index, last)})


@dataclass(frozen=True)
class Invocation:
    answer: dict[str, Any] | None
    """The handler's result; None if the process was killed."""
    exchanges: list[str]
    """The names of its requests in order, up to the kill point."""

    @property
    def status(self) -> int | None:
        return None if self.answer is None else int(self.answer["statusCode"])

    @property
    def body(self) -> Any:
        return json.loads(self.answer["body"]) if self.answer and self.answer["body"] else None


def invoke(
    handler: str, event: dict[str, Any], *, kill_point: KillPoint | None = None, later: timedelta = timedelta(0)
) -> Invocation:
    """Invoke `handler` ("functions.x.app") with `event` in a process whose clock is ahead by `later`."""
    _match_addresses()
    reading, writing = _processes.Pipe(duplex=False)
    process = _processes.Process(
        target=_run, args=(writing, handler, event, kill_point, later.total_seconds(), dict(os.environ))
    )
    process.start()
    writing.close()
    requests: list[str] = []
    result: dict[str, Any] | None = None
    try:
        while True:
            kind, content = reading.recv()
            if kind == "request":
                requests.append(content)
            else:
                result = content
    except EOFError:
        process.join()
    if result is None and process.exitcode != -signal.SIGKILL:
        raise AssertionError(f"{handler} ended with {process.exitcode}")
    return Invocation(result, requests)


def _match_addresses() -> None:
    """Stop a server whose clients were built for another stack: the next process starts a new one.

    A process would build its clients again, which takes longer than most invocations.
    """
    addresses = {name: os.environ.get(name) for name in _ADDRESSES}
    with _lock:
        if _served != addresses:
            multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]
            _served.clear()
            _served.update(addresses)


SECONDS_LEFT = 20
_lock = Lock()
_served: dict[str, str | None] = {}
"""The addresses that the server's clients were built for."""
_ADDRESSES = {
    "CODAT_BASE_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_EVENTBRIDGE",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SQS",
}


class _Context:
    """A Lambda's context."""

    aws_request_id = "00000000-0000-0000-0000-000000000000"
    function_name = "killable"

    def get_remaining_time_in_millis(self) -> int:
        return SECONDS_LEFT * 1000


def _run(  # noqa: PLR0917  # a process's arguments are positional
    pipe: Connection,
    handler: str,
    event: dict[str, Any],
    kill_point: KillPoint | None,
    later: float,
    environment: dict[str, str],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    _forget_settings()
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  # its logs are not needed
    _shift_clock(later)
    _intercept_requests(pipe, kill_point)
    result = importlib.import_module(handler).handler(event, _Context())
    pipe.send(("result", result))


def _forget_settings() -> None:
    """The server may have read them before a test changed a variable."""
    from shared.runtime.settings import read  # noqa: PLC0415

    read.cache_clear()


def _shift_clock(later: float) -> None:
    from shared.runtime import clock  # noqa: PLC0415

    real = clock.now
    clock.now = lambda: real() + timedelta(seconds=later)


def _intercept_requests(pipe: Connection, kill_point: KillPoint | None) -> None:
    import botocore.httpsession  # noqa: PLC0415
    import httpx  # noqa: PLC0415

    count = 0

    def intercept(name: str, perform: Callable[[], Any]) -> Any:
        nonlocal count
        number, count = count, count + 1
        pipe.send(("request", name))
        if kill_point and kill_point.matches(number, name, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        response = perform()
        if kill_point and kill_point.matches(number, name, "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return response

    send = botocore.httpsession.URLLib3Session.send
    handle = httpx.HTTPTransport.handle_request

    def intercepted_send(session: Any, request: Any) -> Any:
        operation = request.headers.get("X-Amz-Target", b"")
        name = operation.decode() if isinstance(operation, bytes) else operation
        return intercept(name.rpartition(".")[2], lambda: send(session, request))

    def intercepted_handle(transport: Any, request: Any) -> Any:
        return intercept(f"{request.method} Codat", lambda: handle(transport, request))

    botocore.httpsession.URLLib3Session.send = intercepted_send  # type: ignore[method-assign, assignment]
    httpx.HTTPTransport.handle_request = intercepted_handle  # type: ignore[method-assign, assignment]
