"""The whole stack on one machine: AWS, Codat and the API, started together and taken down together.

    with running_stack(LocalSettings.from_environment(os.environ)) as stack:
        httpx.post(f"{stack.url}/customers", json={...})

Functions read their environment from the process. So one stack at a time is asked: one that is started inside
another's context takes its place until it ends.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from local import aws
from local.background import Background
from local.exchanges import WEBHOOK_PATH
from local.http_server import HOST, bind, serving
from local.template import DEFAULT_REGION, Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from socket import socket

    from codat_simulator.server import CodatServer
    from mypy_boto3_dynamodb import DynamoDBClient

    from local.gateway.app import Exchange
    from local.gateway.invocation import Handler
    from local.settings import LocalSettings

# Where the template leaves the two to CloudFormation.
_TABLE = "Table"
_SECRET = "CodatSecret"


@dataclass(frozen=True, slots=True)
class Stack:
    """`codat` is None where CODAT_BASE_URL names another."""

    url: str
    settings: LocalSettings
    template: Template
    table_name: str
    codat_url: str
    codat: CodatServer | None
    dynamodb: DynamoDBClient
    background: Background

    def events(self) -> list[dict[str, Any]]:
        """The events on the bus, oldest first; of everything that was written before this call."""
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
    """Serves until the context ends. `listener` is the API's socket, for whoever binds it first to report a
    port that is taken; `handlers` replaces the functions of the template.
    """
    template = template or Template.load()
    with ExitStack() as parts:
        listener = listener or bind(settings.port)
        parts.callback(listener.close)
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        background = Background(template, polls=settings.dynamodb_endpoint is not None)
        moto_url = parts.enter_context(aws.moto_server(background.in_front))
        endpoints = _endpoints(moto_url, settings.dynamodb_endpoint)
        codat = parts.enter_context(_simulated_codat(settings, url)) if not settings.codat_base_url else None
        codat_url = codat.base_url if codat else str(settings.codat_base_url)
        environment = {
            **template.environment(),
            **endpoints,
            **_credentials(endpoints, os.environ, own_dynamodb=settings.dynamodb_endpoint is not None),
            **_no_proxy(os.environ),
            "CODAT_BASE_URL": codat_url,
        }
        if settings.adopt_strays is not None:
            environment["ADOPT_ORPHANS"] = settings.adopt_strays
        parts.enter_context(_environment(environment))
        dynamodb, is_new = _resources(template, settings)
        _forget_caches()
        parts.callback(_forget_caches)
        handlers = handlers if handlers is not None else load_handlers(template)
        parts.enter_context(background.running(handlers, dynamodb, from_now=not is_new))
        app = _application(template, handlers, dynamodb, background, on_exchange)
        parts.enter_context(serving(app, listener))
        table_name = template.table(_TABLE).name
        yield Stack(url, settings, template, table_name, codat_url, codat, dynamodb, background)


def load_handlers(template: Template) -> dict[str, Handler]:
    """The functions' handlers by logical id, imported as Lambda's runtime does."""
    handlers = {}
    for function in template.functions.values():
        module, _, symbol = function.handler.rpartition(".")
        handlers[function.name] = getattr(import_module(module), symbol)
    return handlers


def _application(
    template: Template,
    handlers: Mapping[str, Handler],
    dynamodb: DynamoDBClient,
    background: Background,
    on_exchange: Callable[[Exchange], None] | None,
) -> Any:
    from local.gateway.app import Gateway, application  # noqa: PLC0415 - see running_stack
    from local.gateway.local_routes import local_routes, table_items  # noqa: PLC0415

    gateway = Gateway(routes=template.routes, functions=template.functions, handlers=handlers, on_exchange=on_exchange)
    table_name = template.table(_TABLE).name
    local = local_routes(
        table=lambda: table_items(dynamodb, table_name), events=background.events, reconcile=background.reconcile
    )
    return application(gateway, local)


@contextmanager
def _simulated_codat(settings: LocalSettings, url: str) -> Iterator[CodatServer]:
    # Imported only where it is started: the real Codat shall not depend on the simulated one.
    from codat_simulator.server import CodatServer  # noqa: PLC0415
    from codat_simulator.settings import Settings  # noqa: PLC0415

    codat_settings = Settings(
        api_keys=(settings.codat_api_key,),
        webhook_urls=(url + WEBHOOK_PATH,),
        # One signs; the others are secrets that the functions shall take as well.
        webhook_secrets=settings.webhook_secrets[:1],
    )
    with CodatServer(codat_settings) as codat:
        yield codat


def _resources(template: Template, settings: LocalSettings) -> tuple[DynamoDBClient, bool]:
    """The client, and whether the table is new."""
    import boto3  # noqa: PLC0415 - slow, and reads the environment that is only now complete

    dynamodb = boto3.client("dynamodb")
    is_new = aws.create_table(dynamodb, template.table(_TABLE))
    aws.create_secret(
        boto3.client("secretsmanager"),
        template.physical_id(_SECRET),
        api_key=settings.codat_api_key,
        webhook_secrets=settings.webhook_secrets,
    )
    if not is_new and not settings.codat_base_url:
        _trust_api_key(dynamodb, template.table(_TABLE).name, settings.codat_api_key)
    return dynamodb, is_new


def _trust_api_key(dynamodb: DynamoDBClient, table_name: str, api_key: str) -> None:
    """Confirm the key of a new simulated Codat for a table that an earlier one was used with."""
    from shared.codat.transport import api_key_fingerprint  # noqa: PLC0415 - see running_stack
    from shared.store.api_keys import ApiKeys  # noqa: PLC0415
    from shared.store.table import Table  # noqa: PLC0415

    proof = "the key of a new simulated Codat"
    ApiKeys(Table(dynamodb, table_name)).trust(api_key_fingerprint(api_key), proof, datetime.now(UTC))


def _endpoints(moto_url: str, dynamodb_endpoint: str | None) -> dict[str, str]:
    endpoints = dict.fromkeys(aws.ENDPOINT_VARIABLES, moto_url)
    if dynamodb_endpoint:
        endpoints["AWS_ENDPOINT_URL_DYNAMODB"] = dynamodb_endpoint
        endpoints["AWS_ENDPOINT_URL_DYNAMODB_STREAMS"] = dynamodb_endpoint
    return endpoints


def _credentials(
    endpoints: Mapping[str, str], environment: Mapping[str, str], *, own_dynamodb: bool
) -> dict[str, str | None]:
    """Made-up credentials where nothing leaves the machine; otherwise the caller's own stand."""
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    regions: dict[str, str | None] = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if not all(map(_is_loopback, endpoints.values())):
        return regions
    # DynamoDB Local keeps a database per access key: whoever set one looks for the table under that key.
    if own_dynamodb and environment.get("AWS_ACCESS_KEY_ID") and environment.get("AWS_SECRET_ACCESS_KEY"):
        return regions
    return {
        **regions,
        "AWS_ACCESS_KEY_ID": aws.ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": aws.SECRET_ACCESS_KEY,
        "AWS_SESSION_TOKEN": None,
        "AWS_PROFILE": None,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """A proxy for the outside can't reach what runs here."""
    bypassed = ",".join(filter(None, [environment.get("NO_PROXY") or environment.get("no_proxy"), f"{HOST},localhost"]))
    return {"NO_PROXY": bypassed, "no_proxy": bypassed}


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


def _forget_caches() -> None:
    """A cold start: what functions keep between calls (settings, clients) belongs to one stack only."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in {"shared", "functions"}:
            continue
        for value in list(vars(module).values()):
            if not callable(getattr(value, "cache_clear", None)):
                continue
            # A client that is only dropped leaves its connections to the garbage collector.
            if name == "shared.bootstrap" and value.cache_info().currsize and hasattr(kept := value(), "close"):
                kept.close()
            value.cache_clear()
