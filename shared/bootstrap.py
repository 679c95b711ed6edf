"""The composition root: builds clients and contexts.

Clients are built on first use and kept. Imports are inside the functions, so that a cold start loads only the modules
that its function uses.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from shared.domain.platforms import PlatformCatalog
from shared.domain.timeline import CALLER, RECONCILE, Actor
from shared.runtime import clock
from shared.runtime.observability import Telemetry
from shared.runtime.secrets import secrets
from shared.runtime.settings import ChangesSettings, PlanSettings, ReconcileSettings, read, settings
from shared.services.context import CodatContext, Context, WebhookContext

if TYPE_CHECKING:
    import httpx

    from shared.domain.changes import ChangeEvent
    from shared.http.router import Request
    from shared.messaging.event_bus import EventBus
    from shared.messaging.queue import Queue
    from shared.runtime.clock import LambdaContext
    from shared.services.reconcile import ReconcileContext
    from shared.store.table import Table

STORE_RESERVE_SECONDS = 6.0
"""Requests to Codat end this much before the function does, so that their result can still be stored and returned."""

WEBHOOK_SECONDS = 11.0
"""Codat waits 15 s before it retries a webhook. A last request to DynamoDB takes up to 3 s of them."""


def context(request: "Request") -> Context:
    return Context(**_stores(Actor(CALLER, request.caller), lambda: clock.seconds_left(request.context)))


def codat_context(request: "Request") -> CodatContext:
    return CodatContext(**_stores_and_codat(Actor(CALLER, request.caller), request.context))


def webhook_context(request: "Request") -> WebhookContext:
    """Build a context that ends before Codat stops waiting, or before Lambda ends the function if that is earlier."""
    from shared.codat.signature import WebhookVerifier
    from shared.codat.webhook_events import company_in, parse_event
    from shared.store.quarantine import Quarantine

    deadline = clock.now() + timedelta(seconds=WEBHOOK_SECONDS)

    def seconds_left() -> float:
        return min((deadline - clock.now()).total_seconds(), clock.seconds_left(request.context))

    verifier, quarantine = WebhookVerifier(secrets()), Quarantine(_table(seconds_left))
    stores = _stores(Actor(CALLER), seconds_left)
    return WebhookContext(
        **stores, verifier=verifier, parse_event=parse_event, company_in=company_in, quarantine=quarantine
    )


def plan_context(context: "LambdaContext") -> CodatContext:
    return CodatContext(**_stores_and_codat(Actor(RECONCILE), context))


def reconcile_context(context: "LambdaContext") -> "ReconcileContext":
    from shared.services.reconcile import ReconcileContext

    own = read(ReconcileSettings)
    return ReconcileContext(
        **_stores_and_codat(Actor(RECONCILE), context),
        adopt_orphans=own.adopt_orphans,
        abandoned_after=timedelta(days=own.abandoned_after_days),
    )


@cache
def platform_catalog() -> PlatformCatalog:
    return PlatformCatalog.of(settings().platform_keys, allow_sandbox=settings().allow_sandbox)


def change_event(record: Any) -> "ChangeEvent | None":
    from shared.store.changes import change_event

    return change_event(record)


@cache
def event_bus() -> "EventBus":
    from shared.messaging.event_bus import EventBus

    return EventBus(_client("events"), read(ChangesSettings).event_bus_name)


@cache
def queue() -> "Queue":
    from shared.messaging.queue import Queue

    return Queue(_client("sqs"), read(PlanSettings).reconcile_queue_url)


def _stores(actor: Actor, seconds_left: Callable[[], float]) -> dict[str, Any]:
    from shared.store.connections import Connections
    from shared.store.customers import Customers

    table = _table(seconds_left)
    return {
        "actor": actor,
        "telemetry": Telemetry(),
        "now": clock.now,
        "new_id": lambda: str(uuid4()),
        "customers": Customers(table),
        "connections": Connections(table, timeline_lifetime=timedelta(days=settings().timeline_days)),
    }


def _stores_and_codat(actor: Actor, context: "LambdaContext") -> dict[str, Any]:
    from shared.codat.client import Codat
    from shared.codat.transport import Transport
    from shared.services.api_keys import ApiKeyTrust
    from shared.store.api_keys import ApiKeys
    from shared.store.leases import Leases

    def seconds_left() -> float:
        return clock.seconds_left(context)

    stores, table = _stores(actor, seconds_left), _table(seconds_left)
    trust = ApiKeyTrust(ApiKeys(table), stores["customers"], clock.now, _trusted_api_keys())
    transport = Transport(_http(), secrets(), lambda: seconds_left() - STORE_RESERVE_SECONDS, clock.now, Telemetry())
    codat = Codat(transport, tag_key=settings().codat_tag_key, require_trust=trust.require)
    return {**stores, "seconds_left": seconds_left, "leases": Leases(table), "codat": codat}


@cache
def _trusted_api_keys() -> set[str]:
    """Return the fingerprints that are trusted in this process: an API key that is trusted once stays so."""
    return set()


@cache
def _http() -> "httpx.Client":
    import httpx

    return httpx.Client(base_url=settings().codat_base_url)


@cache
def _dynamodb() -> Any:
    return _client("dynamodb", attempts=1)  # Table retries by itself


def _table(seconds_left: Callable[[], float]) -> "Table":
    from shared.store.table import Table

    return Table(_dynamodb(), settings().table_name, seconds_left=seconds_left)


def _client(service: Any, *, attempts: int = 2) -> Any:
    """Return a client whose time-outs are far shorter than Codat's."""
    import boto3
    from botocore.config import Config

    retries: Any = {"total_max_attempts": attempts, "mode": "standard"}
    return boto3.client(service, config=Config(connect_timeout=1, read_timeout=2, retries=retries))
