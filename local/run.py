"""`make run`: serves the API on this machine until Ctrl-C, with everything that it needs."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local.console import Console, function_logs
from local.exchanges import webhook_event
from local.http_server import HOST, bind
from local.settings import LocalSettings, SettingsError
from local.template import TemplateError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

    from local.gateway.app import Exchange
    from local.stack import Stack

USAGE_ERROR = 2
_SERVER_ERROR = 500


def main(environment: Mapping[str, str] = os.environ) -> int:
    console = Console.on(sys.stdout, environment)
    stopped = threading.Event()
    try:
        settings = LocalSettings.from_environment(environment)
        listener = bind_or_explain(settings.port)
        with _stopping_on(stopped, signal.SIGINT, signal.SIGTERM), function_logs("run", environment) as logs:
            console.line("Starting …")
            serve(settings, listener, console, logs, stopped)
    except (SettingsError, TemplateError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    return 0


def serve(
    settings: LocalSettings, listener: socket.socket, console: Console, logs: str, stopped: threading.Event
) -> None:
    from local.stack import running_stack  # noqa: PLC0415 - slow, so not before the port is known to be free

    with running_stack(
        settings, listener=listener, on_exchange=lambda exchange: console.line(request_line(exchange, console, logs))
    ) as stack:
        if not stopped.is_set():
            introduce(stack, console, logs)
        stopped.wait()
        console.line()
        console.line("Stopping …")


def introduce(stack: Stack, console: Console, logs: str) -> None:
    if stack.codat:
        codat = f"{stack.codat_url}  simulated: revoke as a platform at /platform, let it fail by /_control/faults"
    else:
        codat = f"{stack.codat_url}  from CODAT_BASE_URL; its webhooks go to {stack.url}/webhooks/codat"
    rows = [
        ("API", f"{stack.url}  routes from template.yaml, without signing"),
        ("Console", f"{stack.url}/_local/  customers, links, states"),
        ("Events", f"{stack.url}/_local/events  what the app would hear; POST {stack.url}/_local/reconcile heals"),
        ("Table", f"{stack.url}/_local/table  {stack.table_name} in {stack.settings.dynamodb_endpoint or 'memory'}"),
        ("Codat", codat),
        ("Logs", f"{logs}  JSON, as in CloudWatch" + ("" if "LOGS" in logs else "; LOGS=1 shows them here")),
    ]
    console.line()
    for name, what in rows:
        console.line(f"  {console.bold(f'{name:8}')} {what}")
    if not stack.codat and not stack.settings.own_webhook_secrets:
        console.line()
        console.line("  CODAT_WEBHOOK_SECRETS is not set: every webhook of that Codat will be refused with 401.")
    console.line()
    console.line("Make a customer:")
    console.line()
    console.line(f"  {first_curl(stack.url)}")
    console.line()
    console.line(console.dim("Every request shows below. Ctrl-C stops it all."))
    console.line()


def first_curl(url: str) -> str:
    body = json.dumps({"customerId": "acme", "name": "Acme Ltd"})
    return f"curl -i {url}/customers -H 'content-type: application/json' -d '{body}'"


def request_line(exchange: Exchange, console: Console, logs: str) -> str:
    """One line: no body and no query string, which may hold what isn't for a screen."""
    parts = [
        console.dim(time.strftime("%H:%M:%S")),
        console.status(exchange.status),
        f"{exchange.method} {_printable(exchange.path)}",
        console.dim(f"{exchange.seconds * 1000:.0f} ms"),
    ]
    if event := webhook_event(exchange):
        parts.append(console.dim(_printable(event["eventType"])))
    if exchange.status >= _SERVER_ERROR:
        parts.append(console.bad(f"see {logs}"))
    return "  ".join(parts)


def _printable(text: str) -> str:
    """Without what could move a terminal's cursor: paths and events come from anywhere."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= 120 else shown[:119] + "…"  # noqa: PLR2004 - about a line


def bind_or_explain(port: int) -> socket.socket:
    """Raises SettingsError that says what to do where the port can't be had."""
    try:
        return bind(port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"PORT {port} on {HOST} is taken. Choose another one: PORT={port + 1} make run"
            ) from None
        raise SettingsError(f"PORT {port} on {HOST} can't be used: {error.strerror}") from None


@contextmanager
def _stopping_on(stopped: threading.Event, *signals: signal.Signals) -> Iterator[None]:
    """The first signal asks to stop, also while starting; more of them don't cut the stopping short."""
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
