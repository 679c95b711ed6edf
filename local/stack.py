"""The whole stack in one process: AWS, Codat and the API.

    with running_stack(LocalSettings.from_environment(os.environ)) as stack:
        httpx.post(f"{stack.url}/customers", json={...})

Functions read the environment of the process, so a process serves one stack at a time: a stack that starts
inside another's context replaces it until the inner context ends.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3

from local.aws.app_webhook import AppWebhook
from local.aws.background import Background
from local.aws.moto_server import ACCESS_KEY_ID, ENDPOINT_VARIABLES, SECRET_ACCESS_KEY, moto_server
from local.aws.resources import create_secret, create_table
from local.gateway.activity import Activity
from local.gateway.app import Gateway, application
from local.gateway.console_routes import console_routes, table_items
from local.gateway.exchanges import WEBHOOK_PATH
from local.gateway.invocation import load_handlers
from local.gateway.server import HOST, bind, serving
from local.template import DEFAULT_REGION, Template
from shared.codat.transport import api_key_fingerprint
from shared.store.api_keys import ApiKeys
from shared.store.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from socket import socket

    from codat_simulator.server import CodatServer
    from mypy_boto3_dynamodb import DynamoDBClient
    from starlette.types import ASGIApp

    from local.gateway.exchanges import Exchange
    from local.gateway.invocation import Handler
    from local.settings import LocalSettings


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack. `codat` is the simulator; None if the settings name another Codat."""

    url: str
    settings: LocalSettings
    template: Template
    table_name: str
    codat_url: str
    codat: CodatServer | None
    dynamodb: DynamoDBClient
    background: Background

    def events(self) -> list[dict[str, Any]]:
        """Return the events on the bus, oldest first. Wait up to 10 s for those of earlier writes."""
        return self.background.events()


@contextmanager
def running_stack(
    settings: LocalSettings,
    *,
    listener: socket | None = None,
    template: Template | None = None,
    handlers: Mapping[str, Handler] | None = None,
    on_exchange: Callable[[Exchange], None] | None = None,
) -> Iterator[Stack]:
    """Serve until the context ends.

    `listener` is the API's socket, if the caller binds it to report a port in use. `handlers` replaces the
    template's functions.
    """
    template = template or Template.load()
    with ExitStack() as cleanup:
        listener = listener or bind(settings.port)
        cleanup.callback(listener.close)
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        activity = Activity()
        app_webhook = None
        if settings.app_webhook_url:
            app_webhook = AppWebhook(settings.app_webhook_url, settings.app_webhook_key)
            cleanup.enter_context(app_webhook.running())
        background = Background(
            template,
            polls=settings.dynamodb_endpoint is not None,
            on_event=partial(_observe_event, activity, app_webhook),
        )
        moto_url = cleanup.enter_context(moto_server(background.middleware))
        codat = None if settings.codat_base_url else cleanup.enter_context(_codat_simulator(settings, url, activity))
        codat_url = codat.base_url if codat else str(settings.codat_base_url)
        cleanup.enter_context(_environment(_variables(settings, template, moto_url, codat_url)))
        dynamodb, is_new = _create_resources(template, settings)
        clear_caches()
        cleanup.callback(clear_caches)
        handlers = handlers if handlers is not None else load_handlers(template)
        cleanup.enter_context(background.running(handlers, dynamodb, from_now=not is_new))
        table_name = template.table().name
        gateway = Gateway(
            routes=template.routes,
            functions=template.functions,
            handlers=handlers,
            on_exchange=partial(_observe_exchange, activity, on_exchange),
        )
        console = console_routes(
            activity=activity,
            table=lambda: table_items(dynamodb, table_name),
            events=background.events,
            reconcile=background.reconcile,
            simulator=_simulator_controls(codat) if codat else None,
            routes=[route.key for route in template.routes],
        )
        cleanup.enter_context(serving(application(gateway, console), listener))
        cleanup.callback(activity.close)
        yield Stack(url, settings, template, table_name, codat_url, codat, dynamodb, background)


def clear_caches() -> None:
    """Simulate a cold start: drop the settings and clients that functions cache."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in {"shared", "functions"}:
            continue
        for value in list(vars(module).values()):
            if not callable(getattr(value, "cache_clear", None)):
                continue
            # Closed explicitly: the garbage collector would warn of open connections.
            if name == "shared.bootstrap.codat" and value.cache_info().currsize and hasattr(http := value(), "close"):
                http.close()
            value.cache_clear()
    if aws := sys.modules.get("shared.runtime.aws"):
        aws.close_clients()


def _observe_exchange(activity: Activity, on_exchange: Callable[[Exchange], None] | None, exchange: Exchange) -> None:
    if exchange.is_background_read:
        return
    activity.add_exchange(exchange)
    if on_exchange:
        on_exchange(exchange)


def _observe_event(activity: Activity, app_webhook: AppWebhook | None, event: dict[str, Any]) -> None:
    activity.add_event(event)
    if app_webhook:
        app_webhook.send(event)


def _simulator_controls(codat: CodatServer) -> ASGIApp:
    from codat_simulator.control import Control  # noqa: PLC0415 - as below

    return Control(codat).app()


def _codat_simulator(settings: LocalSettings, url: str, activity: Activity) -> CodatServer:
    # Imported here: a stack with CODAT_BASE_URL needs no simulator.
    from codat_simulator.server import CodatServer  # noqa: PLC0415
    from codat_simulator.settings import Settings  # noqa: PLC0415

    codat = CodatServer(
        Settings(
            api_keys=(settings.codat_api_key,),
            webhook_urls=(url + WEBHOOK_PATH,),
            webhook_secrets=settings.webhook_secrets[:1],
            one_time_links=settings.one_time_links,
        ),
        port=settings.codat_port,
    )
    codat.observe_call = activity.add_codat_call
    codat.webhooks.observe_fault = activity.add_webhook_fault
    return codat


def _create_resources(template: Template, settings: LocalSettings) -> tuple[DynamoDBClient, bool]:
    """Create table and secret. Return the client, and whether the table is new."""
    dynamodb = boto3.client("dynamodb")
    is_new = create_table(dynamodb, template.table())
    create_secret(
        boto3.client("secretsmanager"),
        template.physical_id("CodatSecret"),
        api_key=settings.codat_api_key,
        webhook_secrets=settings.webhook_secrets,
    )
    if not is_new and not settings.codat_base_url:
        # The table was used with an earlier simulator, which had another key.
        api_keys = ApiKeys(Table(dynamodb, template.table().name))
        api_keys.trust(api_key_fingerprint(settings.codat_api_key), "the key of a new simulator", datetime.now(UTC))
    return dynamodb, is_new


def _variables(settings: LocalSettings, template: Template, moto_url: str, codat_url: str) -> dict[str, str | None]:
    """Return the environment of the functions; None unsets a variable."""
    endpoints = dict.fromkeys(ENDPOINT_VARIABLES, moto_url)
    if settings.dynamodb_endpoint:
        endpoints["AWS_ENDPOINT_URL_DYNAMODB"] = settings.dynamodb_endpoint
        endpoints["AWS_ENDPOINT_URL_DYNAMODB_STREAMS"] = settings.dynamodb_endpoint
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    # A proxy can't reach servers on this machine.
    proxied = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    no_proxy = ",".join(filter(None, [proxied, f"{HOST},localhost"]))
    variables: dict[str, str | None] = {
        **template.environment(),
        **endpoints,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "CODAT_BASE_URL": codat_url,
    }
    if settings.adopt_orphans is not None:
        variables["ADOPT_ORPHANS"] = str(settings.adopt_orphans).lower()
    if settings.show_platform_logos is not None:
        variables["SHOW_PLATFORM_LOGOS"] = str(settings.show_platform_logos).lower()
    look = {
        "APP_NAME": settings.app_name,
        "APP_ACCENT_COLOR": settings.app_accent_color,
        "APP_LOGO_URL": settings.app_logo_url,
    }
    variables |= {name: value for name, value in look.items() if value is not None}
    for name, values in (("PLATFORM_KEYS", settings.platform_keys), ("SOURCE_TYPES", settings.source_types)):
        if values is not None:
            variables[name] = ",".join(values)
    if _needs_credentials(settings.dynamodb_endpoint):
        variables |= {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_SESSION_TOKEN": None,
            "AWS_PROFILE": None,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    return variables


def _needs_credentials(dynamodb_endpoint: str | None) -> bool:
    """Return whether to set fake credentials: only if all services run on this machine."""
    if dynamodb_endpoint is None:
        return True
    host = urlsplit(dynamodb_endpoint).hostname or ""
    if host not in {"localhost", "::1"} and not host.startswith("127."):
        return False
    # DynamoDB Local has a database for each access key, so the user's own key selects the user's table.
    return not (os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"))


@contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
