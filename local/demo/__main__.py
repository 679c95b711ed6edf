"""`make demo`: the main job against the Codat simulator, through the HTTP API, printed and checked."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from local.demo.printer import Printer
from local.gateway.exchanges import Exchanges
from local.settings import LocalSettings, SettingsError
from local.template import TemplateError
from local.terminal import function_logs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local.gateway.invocation import Handler

FAILED = 1
SOURCE_TYPES = ("Accounting", "Banking")
USAGE_ERROR = 2

# The faults of --faults, in the syntax of simulator/codat_simulator/faults.py.
FAULTS = (
    "kind=status,status=503,when=after,method=POST,path=/companies,times=1",
    "kind=drop,when=after,method=POST,path=/companies/*/connections,times=1",
    "kind=status,status=429,when=before,method=PATCH,retry_after=1,times=1",
    "kind=latency,when=after,method=PATCH,seconds=1,times=1",
    "kind=webhook-wrong-secret,event_type=connection.connected,times=1",
    "kind=webhook-delay,event_type=connection.created,seconds=0.5,times=1",
    "kind=webhook-reorder,event_type=connection.created,seconds=5,skip=1",
    "kind=webhook-duplicate,event_type=connection.connected",
    "kind=webhook-duplicate,event_type=connection.disconnected,new_message=true",
)


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    parser.add_argument("--faults", action="store_true", help="inject faults into Codat and its webhooks")
    options = parser.parse_args(arguments)
    printer = Printer.on(sys.stdout, environment)
    if environment.get("CODAT_BASE_URL"):
        print("The demo needs the Codat simulator: unset CODAT_BASE_URL, or use `make run`.", file=sys.stderr)
        return USAGE_ERROR
    try:
        # Any free port, so that the demo runs beside `make run`.
        settings = replace(LocalSettings.from_environment(environment), port=0, one_time_links=True)
        with function_logs("demo", environment) as logs:
            return run_demo(settings, printer, logs, faults=FAULTS if options.faults else ())
    except (SettingsError, TemplateError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return FAILED


def run_demo(
    settings: LocalSettings,
    printer: Printer,
    logs: str,
    *,
    faults: Sequence[str] = (),
    handlers: Mapping[str, Handler] | None = None,
) -> int:
    """Return the exit code. `handlers` replaces the template's functions."""
    # Imported here because they are slow to import, and the settings are checked first.
    import httpx  # noqa: PLC0415
    from codat_simulator.faults import Fault  # noqa: PLC0415

    from local.demo.scenario import PLATFORMS, StepFailedError, run_scenario  # noqa: PLC0415
    from local.stack import running_stack  # noqa: PLC0415

    settings = replace(settings, source_types=SOURCE_TYPES)
    exchanges = Exchanges()
    started = time.monotonic()
    printer.line(printer.bold("The main job on one machine"))
    with running_stack(settings, handlers=handlers, on_exchange=exchanges.add) as stack:
        assert stack.codat is not None  # noqa: S101 - for mypy: codat_base_url is not set
        printer.line(f"API {stack.url}, Codat simulator {stack.codat_url}")
        printer.line(printer.dim("Link URLs are one-time credentials: they are printed shortened, and never logged."))
        for text in faults:
            printer.line(f"Fault at Codat: {text.replace(',', ', ')}")
            stack.codat.faults.add(Fault.from_words(text))
        try:
            with httpx.Client(base_url=stack.url, trust_env=False) as api:
                run_scenario(api, stack.codat, exchanges, printer)
        except StepFailedError as failure:
            printer.heading(printer.red(f"Failed at: {failure.step}"))
            printer.line(textwrap.indent(str(failure), "  "))
            printer.line(f"  The functions' log: {logs}")
            return FAILED
    webhooks = sum(exchange.webhook_event() is not None for exchange in exchanges.all())
    calls = len(exchanges.all()) - webhooks
    counts = f"{len(PLATFORMS)} platforms, {calls} calls, {webhooks} webhooks in {time.monotonic() - started:.1f} s"
    printer.line()
    printer.line(printer.green("All checks passed: ") + counts)
    printer.line(printer.dim(f"The functions' log: {logs}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
