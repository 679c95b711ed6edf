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
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import urlsplit

import boto3
from moto.events.models import EventPattern

from local.aws.app_webhook import AppWebhook
from local.aws.bus import Bus
from local.aws.moto_server import ACCESS_KEY_ID, ENDPOINT_VARIABLES, SECRET_ACCESS_KEY, moto_server
from local.aws.publisher import Publisher
from local.aws.reconcile import Reconcile
from local.aws.resources import create_secret, create_table
from local.aws.stream import StreamReader
from local.gateway.activity import Activity
from local.gateway.app import Gateway, application
from local.gateway.console_routes import console_routes
from local.gateway.exchanges import WEBHOOK_PATH
from local.gateway.invocation import invoke_and_wait, load_handlers
from local.gateway.server import HOST, bind, serving
from local.running import Stack
from local.template import DEFAULT_REGION, Template
from shared.codat.transport import api_key_fingerprint
from shared.store.api_keys import ApiKeys
from shared.store.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from socket import socket

    from codat_simulator.server import CodatServer
    from mypy_boto3_dynamodb import DynamoDBClient

    from local.gateway.exchanges import Exchange
    from local.gateway.invocation import Handler
    from local.settings import LocalSettings


@contextmanager
def running_stack(
    settings: LocalSettings,
    *,
    listener: socket | None = None,
    template: Template | None = None,
    handlers: Mapping[str, Handler] | None = None,
    on_exchange: Callable[[Exchange], object] = lambda _: None,
) -> Iterator[Stack]:
    """Serve until the context ends.

    `listener` is the API's socket, if the caller binds it to report a port in use. `handlers` has one
    for each function by its logical id, and replaces those of functions/.
    """
    template = template or Template.load()
    functions = template.functions
    with ExitStack() as cleanup:
        listener = listener or bind(settings.port)
        cleanup.callback(listener.close)
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        activity = Activity()
        bus = Bus([activity.add_event])
        if settings.app_webhook_url:
            app_webhook = AppWebhook(settings.app_webhook_url, settings.app_webhook_key)
            cleanup.enter_context(app_webhook.running())
            bus.observers.append(app_webhook.send)
        moto_url = cleanup.enter_context(moto_server(bus.endpoint))
        codat = None if settings.codat_base_url else cleanup.enter_context(_codat_simulator(settings, url, activity))
        codat_url = codat.base_url if codat else str(settings.codat_base_url)
        cleanup.enter_context(_environment(settings, template, moto_url, codat_url))
        dynamodb, is_new = _create_resources(template, settings)
        clear_caches()
        cleanup.callback(clear_caches)
        handlers = handlers if handlers is not None else load_handlers(template)

        def invoke(name: str, event: dict[str, Any]) -> Any:
            return invoke_and_wait(functions[name], handlers[name], event)

        publisher = _publisher(template, dynamodb, invoke, from_now=not is_new)
        cleanup.enter_context(publisher.running())
        stack = Stack(url, settings, template, codat_url, codat, dynamodb, bus, publisher, Reconcile(template, invoke))
        gateway = Gateway(
            routes=template.routes,
            functions=functions,
            handlers=handlers,
            observers=[activity.add_exchange, on_exchange],
        )
        cleanup.enter_context(serving(application(gateway, console_routes(stack, activity)), listener))
        cleanup.callback(activity.close)
        yield stack


def clear_caches() -> None:
    """Drop the settings and clients that functions cache, as a cold start does."""
    # Closed explicitly: the garbage collector would warn of open connections.
    if (codat := sys.modules.get("shared.bootstrap.codat")) and codat.http.cache_info().currsize:
        codat.http().close()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in {"shared", "functions"}:
            continue
        for value in list(vars(module).values()):
            if not callable(getattr(value, "cache_clear", None)):
                continue
            value.cache_clear()
    if aws := sys.modules.get("shared.runtime.aws"):
        aws.close_clients()


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
    is_new = create_table(dynamodb, template)
    create_secret(
        boto3.client("secretsmanager"),
        template,
        api_key=settings.codat_api_key,
        webhook_secrets=settings.webhook_secrets,
    )
    if not is_new and not settings.codat_base_url:
        # The table was used with an earlier simulator, which had another key.
        api_keys = ApiKeys(Table(dynamodb, template.physical_id("Table")))
        api_keys.trust(api_key_fingerprint(settings.codat_api_key), "the key of a new simulator", datetime.now(UTC))
    return dynamodb, is_new


def _publisher(
    template: Template, dynamodb: DynamoDBClient, invoke: Callable[[str, dict[str, Any]], Any], *, from_now: bool
) -> Publisher:
    """Return what the template's event source mapping is on AWS. `from_now` skips the records that the stream holds."""
    table = dynamodb.describe_table(TableName=template.physical_id("Table"))["Table"]
    reader = StreamReader(boto3.client("dynamodbstreams"), table["LatestStreamArn"], from_now=from_now)
    [criterion] = template.properties("PublishChangesSource")["FilterCriteria"]["Filters"]
    pattern: Any = EventPattern.load(criterion["Pattern"])
    return Publisher(reader.read, pattern.matches_event, partial(invoke, "PublishChangesFunction"))


@contextmanager
def _environment(settings: LocalSettings, template: Template, moto_url: str, codat_url: str) -> Iterator[None]:
    """Set the environment of the functions, and restore the earlier one at the end."""
    of_template = template.environment()
    endpoints = dict.fromkeys(ENDPOINT_VARIABLES, moto_url)
    if settings.dynamodb_endpoint:
        endpoints["AWS_ENDPOINT_URL_DYNAMODB"] = settings.dynamodb_endpoint
        endpoints["AWS_ENDPOINT_URL_DYNAMODB_STREAMS"] = settings.dynamodb_endpoint
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    # A proxy can't reach servers on this machine.
    proxied = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    no_proxy = ",".join(filter(None, [proxied, f"{HOST},localhost"]))
    variables = {
        **of_template,
        **{name: value for name, value in settings.variables().items() if name in of_template},
        **endpoints,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "CODAT_BASE_URL": codat_url,
    }
    with patch.dict(os.environ, variables):
        if _needs_credentials(settings.dynamodb_endpoint):
            for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
                os.environ.pop(name, None)
            os.environ.update(
                AWS_ACCESS_KEY_ID=ACCESS_KEY_ID,
                AWS_SECRET_ACCESS_KEY=SECRET_ACCESS_KEY,
                AWS_EC2_METADATA_DISABLED="true",
            )
        yield


def _needs_credentials(dynamodb_endpoint: str | None) -> bool:
    """Return whether to set fake credentials: only if all services run on this machine."""
    if dynamodb_endpoint is None:
        return True
    host = urlsplit(dynamodb_endpoint).hostname or ""
    if host not in {"localhost", "::1"} and not host.startswith("127."):
        return False
    # DynamoDB Local has a database for each access key, so the user's own key selects the user's table.
    return not (os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"))
