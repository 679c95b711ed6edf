"""Lambda on one machine: every invocation on a thread of its own, given up on after the function's timeout.

On AWS a function that outlives its timeout is killed. A thread can't be: here it is only no longer waited for.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from local.gateway.lambda_context import LambdaContext

if TYPE_CHECKING:
    from local.template import Function

logger = logging.getLogger("local.gateway")

Handler = Callable[[dict[str, Any], LambdaContext], Any]
_Report = Callable[[Any, BaseException | None], None]


class FunctionError(Exception):
    """The handler raised, or ran into its own timeout."""


class InvocationTimeoutError(Exception):
    """No answer yet, and the caller waits no longer."""


async def invoke(function: Function, handler: Handler, event: dict[str, Any], *, patience: float) -> Any:
    """What the handler returns. `patience` is how many seconds the caller waits.

    Raises FunctionError, InvocationTimeoutError.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not outcome.done():
            outcome.set_result((result, error))

    def report(result: Any, error: BaseException | None) -> None:
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            logger.warning("%s ended after the gateway had stopped", function.name)

    _start(function, handler, event, report)
    await asyncio.wait([outcome], timeout=min(function.timeout, patience))
    if outcome.done():
        return _returned(function, *outcome.result())
    if function.timeout < patience:
        raise _timed_out(function)
    raise InvocationTimeoutError(f"{function.name} has not answered within {patience:g} seconds")


def invoke_and_wait(function: Function, handler: Handler, event: dict[str, Any]) -> Any:
    """What the handler returns, for whoever has a thread to wait on. Raises FunctionError."""
    ended = threading.Event()
    outcomes: list[tuple[Any, BaseException | None]] = []

    def report(result: Any, error: BaseException | None) -> None:
        outcomes.append((result, error))
        ended.set()

    _start(function, handler, event, report)
    if not ended.wait(function.timeout):
        raise _timed_out(function)
    return _returned(function, *outcomes[0])


def _start(function: Function, handler: Handler, event: dict[str, Any], report: _Report) -> None:
    def run() -> None:
        result, error = None, None
        try:
            result = handler(event, LambdaContext(function))
        except BaseException as raised:  # noqa: BLE001 - Lambda's runtime too outlives whatever is raised
            error = raised
        report(result, error)

    # A daemon thread each, not a pool: a pool's threads would hold up the end of the process.
    threading.Thread(target=run, name=function.name, daemon=True).start()


def _returned(function: Function, result: Any, error: BaseException | None) -> Any:
    if error is None:
        return result
    raise FunctionError(f"{function.name} failed") from error


def _timed_out(function: Function) -> FunctionError:
    return FunctionError(f"{function.name}: task timed out after {function.timeout:.2f} seconds")
