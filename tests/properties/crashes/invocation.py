"""A Lambda that can be killed: one handler's invocation in a process of its own, dead at the I/O that a test names.

Every HTTP exchange of the handler, with AWS (botocore) or Codat (httpx), passes one of two seams, which are counted
here. So an I/O that is added to a use case later is found without naming it.
"""

import importlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any, Literal

Moment = Literal["before", "after"]

# Forked from a process without threads, with the imports done: a new Lambda in some 50 ms.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["pytest", "tests.properties.crashes.preloaded", "tests.properties.crashes.invocation"]
)


@dataclass(frozen=True)
class KillPoint:
    """Where the process is killed: before an I/O is sent, or after it was answered."""

    io: int | str
    """The n-th, counted from 0; or the first of that name."""
    moment: Moment

    def strikes(self, number: int, name: str, moment: Moment) -> bool:
        return self.io in {number, name} and self.moment == moment


def all_kill_points(exchanges: Sequence[str]) -> list[KillPoint]:
    """Before the first I/O, and after each: to die before one is to die after the one before it."""
    return [KillPoint(0, "before"), *(KillPoint(io, "after") for io in range(len(exchanges)))]


def ends_of_each_kind(exchanges: Sequence[str]) -> list[int]:
    """The first and the last I/O of each kind."""
    last = {name: io for io, name in enumerate(exchanges)}
    return sorted({*last.values(), *map(exchanges.index, last)})


@dataclass(frozen=True)
class Invocation:
    """What is left of an invocation."""

    answer: dict[str, Any] | None
    """None: it was killed."""
    exchanges: list[str]
    """What it asked of the world, in order; of a killed one, up to the kill point."""

    @property
    def status(self) -> int | None:
        return None if self.answer is None else int(self.answer["statusCode"])

    @property
    def body(self) -> Any:
        return json.loads(self.answer["body"]) if self.answer and self.answer["body"] else None


def invoke(
    handler: str, event: dict[str, Any], *, kill_point: KillPoint | None = None, later: timedelta = timedelta(0)
) -> Invocation:
    """Runs `handler` ("functions.x.app") on `event` in a process whose clock is ahead by `later`."""
    reading, writing = _processes.Pipe(duplex=False)
    process = _processes.Process(
        target=_live, args=(writing, handler, event, kill_point, later.total_seconds(), dict(os.environ))
    )
    process.start()
    writing.close()
    exchanges: list[str] = []
    answer: dict[str, Any] | None = None
    try:
        while True:
            kind, told = reading.recv()
            if kind == "exchange":
                exchanges.append(told)
            else:
                answer = told
    except EOFError:
        process.join()
    if answer is None and process.exitcode != -signal.SIGKILL:
        raise AssertionError(f"{handler} ended with {process.exitcode}")
    return Invocation(answer, exchanges)


SECONDS_LEFT = 20
_ADDRESSES = {"CODAT_BASE_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER"}


class _Context:
    """A Lambda's context."""

    aws_request_id = "00000000-0000-0000-0000-000000000000"
    function_name = "mortal"

    def get_remaining_time_in_millis(self) -> int:
        return SECONDS_LEFT * 1000


def _live(  # noqa: PLR0917  # a process's arguments are positional
    told: Connection,
    handler: str,
    event: dict[str, Any],
    kill_point: KillPoint | None,
    later: float,
    environment: dict[str, str],
) -> None:
    from local.stack import clear_caches  # noqa: PLC0415
    from tests.properties.crashes.preloaded import BUILT_FOR  # noqa: PLC0415

    os.environ.clear()
    os.environ.update(environment)
    if {name for name in environment if environment[name] != BUILT_FOR.get(name)} & _ADDRESSES:
        clear_caches()  # what was built speaks to another stack
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  # the logs of a process about to die
    _shift_clock(later)
    _watch(told, kill_point)
    answer = importlib.import_module(handler).handler(event, _Context())
    told.send(("answer", answer))


def _shift_clock(later: float) -> None:
    from shared.runtime import clock  # noqa: PLC0415

    real = clock.now
    clock.now = lambda: real() + timedelta(seconds=later)


def _watch(told: Connection, kill_point: KillPoint | None) -> None:
    import botocore.httpsession  # noqa: PLC0415
    import httpx  # noqa: PLC0415

    count = 0

    def exchange(what: str, perform: Callable[[], Any]) -> Any:
        nonlocal count
        mine, count = count, count + 1
        told.send(("exchange", what))
        if kill_point and kill_point.strikes(mine, what, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        answered = perform()
        if kill_point and kill_point.strikes(mine, what, "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return answered

    send = botocore.httpsession.URLLib3Session.send
    handle = httpx.HTTPTransport.handle_request

    def watched_send(session: Any, request: Any) -> Any:
        operation = request.headers.get("X-Amz-Target", b"")
        name = operation.decode() if isinstance(operation, bytes) else operation
        return exchange(name.rpartition(".")[2], lambda: send(session, request))

    def watched_handle(transport: Any, request: Any) -> Any:
        return exchange(f"{request.method} Codat", lambda: handle(transport, request))

    botocore.httpsession.URLLib3Session.send = watched_send  # type: ignore[method-assign, assignment]
    httpx.HTTPTransport.handle_request = watched_handle  # type: ignore[method-assign, assignment]
