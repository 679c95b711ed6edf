"""`make run`: serve the stack on this machine until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from local.gateway.server import HOST, bind
from local.settings import LocalSettings, SettingsError
from local.template import TemplateError
from local.terminal import Terminal, function_logs

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from local.gateway.exchanges import Exchange
    from local.running import Stack

USAGE_ERROR = 2
_MAX_LINE = 120
_SERVER_ERROR = 500


def main(environment: Mapping[str, str] = os.environ) -> int:
    terminal = Terminal.on(sys.stdout, environment)
    stopped = threading.Event()
    try:
        settings = LocalSettings.from_environment(environment)
        listener = bind_or_explain(settings.port, settings)
        if settings.codat_port and not settings.codat_base_url:
            bind_or_explain(settings.codat_port, settings).close()
        # Also during the start. Further signals don't interrupt the shutdown.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        with function_logs("run", environment) as logs:
            terminal.line("Starting …")
            serve(settings, listener, terminal, logs, stopped)
    except (SettingsError, TemplateError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    return 0


def serve(
    settings: LocalSettings, listener: socket.socket, terminal: Terminal, logs: str, stopped: threading.Event
) -> None:
    from local.stack import running_stack  # noqa: PLC0415 - slow to import, and the port is checked first

    with running_stack(
        settings, listener=listener, on_exchange=lambda exchange: terminal.line(request_line(exchange, terminal, logs))
    ) as stack:
        if not stopped.is_set():
            print_introduction(stack, terminal, logs)
        stopped.wait()
        terminal.line()
        terminal.line("Stopping …")


def print_introduction(stack: Stack, terminal: Terminal, logs: str) -> None:
    if stack.codat:
        codat = f"{stack.codat_url}  the simulator; the console and /_control/ make it fail"
    else:
        codat = f"{stack.codat_url}  from CODAT_BASE_URL; send its webhooks to {stack.url}/webhooks/codat"
    rows = [
        ("Console", f"{stack.url}/  open it in a browser: everything by buttons, live"),
        ("API", f"{stack.url}  routes of template.yaml; requests need no signature"),
        ("Events", f"{stack.url}/_local/events  events for the app; POST {stack.url}/_local/reconcile runs reconcile"),
        ("Table", f"{stack.url}/_local/table  {stack.table_name} in {stack.settings.dynamodb_endpoint or 'memory'}"),
        ("Codat", codat),
        ("Logs", f"{logs}  JSON, as in CloudWatch" + ("" if "LOGS" in logs else "; LOGS=1 prints them here")),
    ]
    if stack.settings.app_webhook_url:
        rows.append(("App", f"{stack.settings.app_webhook_url}  gets each event, with APP_WEBHOOK_KEY as x-api-key"))
    terminal.line()
    for name, text in rows:
        terminal.line(f"  {terminal.bold(f'{name:8}')} {text}")
    if not stack.codat and not stack.settings.own_webhook_secrets:
        terminal.line()
        terminal.line("  CODAT_WEBHOOK_SECRETS is not set: every webhook from that Codat will be rejected with 401.")
    terminal.line("\nCreate a customer, connect it (open the linkUrl to authorise), read its state:\n")
    for command in example_commands(stack.url):
        terminal.line(f"  {command}")
    terminal.line()
    terminal.line(terminal.dim("Requests are listed below. Ctrl-C stops everything."))
    terminal.line()


def example_commands(url: str) -> list[str]:
    """Return three lines to copy into another terminal."""
    customer = json.dumps({"customerId": "acme", "name": "Acme Ltd"})
    connection = json.dumps({"platformKey": "qhyg"})
    header = "-H 'content-type: application/json'"
    return [
        f"curl -i {url}/customers {header} -d '{customer}'",
        f"curl -i {url}/customers/acme/connections {header} -d '{connection}'",
        f"curl -i {url}/customers/acme",
    ]


def request_line(exchange: Exchange, terminal: Terminal, logs: str) -> str:
    """Return a line without body and query string, which may contain credentials."""
    parts = [
        terminal.dim(time.strftime("%H:%M:%S")),
        terminal.status(exchange.status),
        f"{exchange.method} {_printable(exchange.path)}",
        terminal.dim(f"{exchange.seconds * 1000:.0f} ms"),
    ]
    if event := exchange.webhook_event():
        parts.append(terminal.dim(_printable(event["eventType"])))
    if exchange.status >= _SERVER_ERROR:
        parts.append(terminal.red(f"see {logs}"))
    return "  ".join(parts)


def _printable(text: str) -> str:
    """Remove terminal control characters: paths and events come from the network."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= _MAX_LINE else printable[: _MAX_LINE - 1] + "…"


def bind_or_explain(port: int, settings: LocalSettings) -> socket.socket:
    """Raises SettingsError if the port can't be bound."""
    try:
        return bind(port)
    except OSError as error:
        # The next port is the simulator's.
        raise SettingsError(
            f"PORT {port} on {HOST}: {error.strerror}. Choose another port: PORT={settings.port + 2} make run"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
