"""Lambda on one machine: each invocation runs in a thread of its own.

Lambda stops a function at its timeout. A thread can't be stopped: after the timeout its result is ignored.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from typing import TYPE_CHECKING, Any

from local.gateway.lambda_context import LambdaContext

if TYPE_CHECKING:
    from local.template import Function, Template

Handler = Callable[[dict[str, Any], LambdaContext], Any]
# The result and what was raised instead. Not the future's own exception, which asyncio would log if it comes too late.
_Outcome = tuple[Any, BaseException | None]


class FunctionError(Exception):
    """The handler raised, or exceeded its own timeout."""


class InvocationTimeoutError(Exception):
    """The handler exceeded the caller's timeout."""


def load_handlers(template: Template) -> dict[str, Handler]:
    """Import the functions' handlers as Lambda does; return them by logical id."""
    handlers = {}
    for function in template.functions.values():
        module, _, symbol = function.handler.rpartition(".")
        handlers[function.name] = getattr(import_module(module), symbol)
    return handlers


async def invoke(function: Function, handler: Handler, event: dict[str, Any], *, timeout: float) -> Any:  # noqa: ASYNC109 - not the time of the coroutine alone
    """Return the handler's result. `timeout` is the caller's, in seconds.

    Raises FunctionError, InvocationTimeoutError.
    """
    outcome = _start(function, handler, event)
    await asyncio.wait([asyncio.wrap_future(outcome)], timeout=min(function.timeout, timeout))
    if timeout <= function.timeout and not outcome.done():
        raise InvocationTimeoutError(f"{function.name} has not answered within {timeout:g} seconds")
    return _result(function, outcome, 0)


def invoke_and_wait(function: Function, handler: Handler, event: dict[str, Any]) -> Any:
    """Return the handler's result; block the calling thread meanwhile. Raises FunctionError."""
    return _result(function, _start(function, handler, event), function.timeout)


def _start(function: Function, handler: Handler, event: dict[str, Any]) -> Future[_Outcome]:
    future: Future[_Outcome] = Future()

    def run() -> None:
        try:
            outcome: _Outcome = handler(event, LambdaContext(function)), None
        except BaseException as error:  # noqa: BLE001 - Lambda's runtime survives SystemExit, too
            outcome = None, error
        future.set_result(outcome)

    # Daemon threads instead of a pool: a pool's threads would delay the end of the process.
    threading.Thread(target=run, name=function.name, daemon=True).start()
    return future


def _result(function: Function, outcome: Future[_Outcome], timeout: float) -> Any:
    try:
        result, error = outcome.result(timeout)
    except TimeoutError:
        raise FunctionError(f"{function.name}: task timed out after {function.timeout:.2f} seconds") from None
    if error:
        raise FunctionError(f"{function.name} failed") from error
    return result
