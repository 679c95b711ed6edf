"""`make demo`: the main job end to end, against the simulated Codat, through the HTTP API, checked and shown."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import textwrap
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from local.console import Console, function_logs
from local.exchanges import Exchanges, webhook_event
from local.healing import Healing
from local.journey import UNAUTHORIZED, Journey
from local.narration import Narration, Silence, path_of
from local.settings import LocalSettings, SettingsError
from local.steps import Platform, StepFailedError
from local.template import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local.gateway.invocation import Handler
    from local.stack import Stack

FAILED = 1
USAGE_ERROR = 2

# The five of Codat's original guide; the first is walked at length.
PLATFORMS = (
    Platform("qhyg", "QuickBooks Online"),
    Platform("pqsw", "QuickBooks Desktop", "install-connector"),
    Platform("pdvj", "MYOB Business"),
    Platform("akxx", "Oracle NetSuite"),
    Platform("knfz", "Sage Intacct"),
)

# What goes wrong with --faults, in words of simulator/codat_simulator/faults.py.
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
    parser.add_argument("--faults", action="store_true", help="let Codat and its webhooks fail on the way")
    options = parser.parse_args(arguments)
    console = Console.on(sys.stdout, environment)
    if environment.get("CODAT_BASE_URL"):
        print(
            "The demo needs the simulated Codat, whose link pages it follows: unset CODAT_BASE_URL, "
            "or serve that Codat with `make run`.",
            file=sys.stderr,
        )
        return USAGE_ERROR
    try:
        # Any free port: the demo and `make run` don't get in each other's way.
        settings = replace(LocalSettings.from_environment(environment), port=0)
        with function_logs("demo", environment) as logs:
            return demonstrate(settings, console, logs, faults=FAULTS if options.faults else ())
    except (SettingsError, TemplateError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return FAILED


def demonstrate(
    settings: LocalSettings,
    console: Console,
    logs: str,
    *,
    faults: Sequence[str] = (),
    handlers: Mapping[str, Handler] | None = None,
) -> int:
    """The exit code. `handlers` replaces the functions of the template."""
    from local.stack import running_stack  # noqa: PLC0415 - slow, so not before the settings are known to be right

    console.line(console.bold("The main job on one machine"))
    exchanges = Exchanges()
    started = time.monotonic()
    with ExitStack() as parts:
        stack = parts.enter_context(running_stack(settings, handlers=handlers, on_exchange=exchanges.add))
        introduce(stack, console, faults)
        try:
            walk(stack, exchanges, console, patient=bool(faults))
            all_refused(stack, exchanges)
            if faults:
                what_went_wrong(stack, console)
        except StepFailedError as failure:
            console.line()
            console.line(console.bad(f"Failed at: {failure.step}"))
            console.line(textwrap.indent(str(failure), "  "))
            console.line(f"  What the functions logged: {logs}")
            return FAILED
    webhooks = sum(webhook_event(exchange) is not None for exchange in exchanges.all())
    calls = len(exchanges.all()) - webhooks
    console.line()
    console.line(
        console.good("Everything as it should be: ")
        + f"{len(PLATFORMS)} platforms, {calls} calls, {webhooks} webhooks in {time.monotonic() - started:.1f} s"
    )
    console.line(console.dim(f"What the functions logged: {logs}"))
    return 0


def introduce(stack: Stack, console: Console, faults: Sequence[str]) -> None:
    console.line(f"API {stack.url}, simulated Codat {stack.codat_url}")
    console.line(console.dim("Link URLs are one-time credentials: they are shown shortened, and never logged."))
    if faults and stack.codat:
        from codat_simulator.faults import Fault  # noqa: PLC0415 - with the simulated Codat only

        console.line("What will go wrong at Codat:")
        for words in faults:
            stack.codat.faults.add(Fault.from_words(words))
            console.line(f"  {words.replace(',', ', ')}")


def walk(stack: Stack, exchanges: Exchanges, console: Console, *, patient: bool) -> None:
    import httpx  # noqa: PLC0415 - see demonstrate

    # New customers each time: a table that is kept may know the last run's.
    run = secrets.token_hex(3)
    narration = Narration(console)
    journeys: list[Journey] = []
    with httpx.Client(base_url=stack.url, trust_env=False) as api:
        for number, platform in enumerate(PLATFORMS):
            if number == 1:
                console.line()
                console.line(console.bold("The same for the other platforms"))
            customer_id = f"bloom-{run}-{number + 1}"
            journey = Journey(
                api,
                exchanges,
                Silence() if number else narration,
                customer_id=customer_id,
                name=f"Bloom & Daughters {number + 1}",
                platform=platform,
                patient=patient,
            )
            started = time.monotonic()
            try:
                journey.walk()
            except StepFailedError as failure:
                raise StepFailedError(f"{platform.name}: {failure.step}", str(failure)) from failure
            if number:
                took = console.dim(f"{(time.monotonic() - started) * 1000:.0f} ms")
                console.line(f"   {platform.name:20} {path_of(journey.statuses)}  {took}")
            one_company(stack, journey.company_id, customer_id)
            journeys.append(journey)
        console.line()
        console.line(console.bold("A webhook is lost, and found again"))
        first = journeys[0]
        ids = first.company_id, first.connection_id
        healing = Healing(
            api, exchanges, narration, customer_id=first.customer_id, platform=first.platform, patient=patient
        )
        healing.walk(*ids, lambda: lose_webhooks(stack, *ids))


def lose_webhooks(stack: Stack, company_id: str, connection_id: str) -> int:
    """The platform withdraws its consent while webhooks get lost; how many did."""
    from codat_simulator.faults import Fault  # noqa: PLC0415 - with the simulated Codat only

    codat = stack.codat
    if codat is None:
        return 0
    fault_id = codat.faults.add(Fault(kind="webhook-drop"))
    codat.state.revoke(company_id, connection_id)
    codat.wait_idle()
    lost = codat.faults.fired(fault_id)
    codat.faults.remove(fault_id)
    return lost


def all_refused(stack: Stack, exchanges: Exchanges) -> None:
    """Raises StepFailedError unless all that Codat's secret did not sign was refused: a forgery a platform, and what
    a fault signed with another secret.
    """
    refused = sum(webhook_event(one) is not None and one.status == UNAUTHORIZED for one in exchanges.all())
    kinds = [(fault["kind"], fault["fired"]) for fault in stack.codat.faults.list()] if stack.codat else []
    forged = len(PLATFORMS) + sum(fired for kind, fired in kinds if kind == "webhook-wrong-secret")
    if refused != forged:
        raise StepFailedError("Nobody in who doesn't belong", f"{refused} of {forged} forged webhooks were refused")


def what_went_wrong(stack: Stack, console: Console) -> None:
    """Raises StepFailedError where a fault never struck: then nothing was shown to be got over."""
    console.line()
    console.line(console.bold("What went wrong at Codat on the way"))
    for fault in stack.codat.faults.list() if stack.codat else []:
        where = fault["eventType"] if fault["kind"].startswith("webhook") else f"{fault['method']} {fault['path']}"
        console.line(f"   {fault['kind']:21} {where:38} {fault['fired']} x")
        if not fault["fired"]:
            raise StepFailedError("Faults on the way", f"{fault['kind']} of {where} never struck")


def one_company(stack: Stack, company_id: str, customer_id: str) -> None:
    """Raises StepFailedError unless Codat has exactly this company for the customer."""
    if stack.codat is None:
        return
    found = [company.id for company in stack.codat.state.companies() if company.tags.get("uid") == customer_id]
    if found != [company_id]:
        raise StepFailedError("One customer, one company", f"Codat has {found} for {customer_id}")


if __name__ == "__main__":
    sys.exit(main())
