"""The composition root: the one place that builds clients, each on its first use and then kept.

Imports stand inside the functions, so that a cold start pays only for what its function uses.
"""

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import uuid4

from shared.domain.platforms import Offer
from shared.domain.timeline import CALLER, RECONCILE, Actor
from shared.runtime import clock
from shared.runtime.observability import Telemetry
from shared.runtime.settings import ChangesSettings, PlanSettings, ReconcileSettings, read, settings
from shared.services.ports import Call

if TYPE_CHECKING:
    import httpx
    from botocore.config import Config

    from shared.codat.api import Codat
    from shared.domain.changes import Change
    from shared.messaging.bus import Bus
    from shared.messaging.queue import Queue
    from shared.runtime.clock import LambdaContext
    from shared.runtime.edge import Request
    from shared.runtime.secrets import Secrets
    from shared.services.ports import Door
    from shared.services.walk import World
    from shared.store.claims import Claims
    from shared.store.connections import Connections
    from shared.store.customers import Customers
    from shared.store.table import Table
    from shared.store.unreadable import Unreadables


class Stores(TypedDict):
    """What reading takes."""

    customers: "Customers"
    connections: "Connections"


_TO_STORE_THE_ANSWER = 6.0
"""Seconds kept back from Codat: what it answers still has to be written, and the caller to be told."""


def call(request: "Request") -> Call:
    return call_by(Actor(CALLER, request.caller), request.context)


def call_by(actor: Actor, context: "LambdaContext") -> Call:
    return Call(
        actor=actor,
        telemetry=Telemetry(),
        now=clock.now,
        new_id=lambda: str(uuid4()),
        seconds_left=lambda: clock.seconds_left(context),
    )


@cache
def offer() -> Offer:
    return Offer.of(settings().platform_keys, allow_sandbox=settings().allow_sandbox)


@cache
def customers() -> "Customers":
    from shared.store.customers import Customers

    return Customers(_table())


@cache
def connections() -> "Connections":
    from shared.store.connections import Connections

    return Connections(_table(), timeline_kept_for=timedelta(days=settings().timeline_days))


def stores() -> Stores:
    return {"customers": customers(), "connections": connections()}


@cache
def claims() -> "Claims":
    from shared.store.claims import Claims

    return Claims(_table())


@cache
def unreadables() -> "Unreadables":
    from shared.store.unreadable import Unreadables

    return Unreadables(_table())


@cache
def secrets() -> "Secrets":
    from shared.runtime.secrets import Secrets

    return Secrets(settings().codat_secret_id)


@cache
def door() -> "Door":
    from shared.codat.door import Door

    return Door(settings().codat_tag_key)


def change_of(record: Any) -> "Change | None":
    """The change that a record of the table's stream tells."""
    from shared.store.changes import change_of

    return change_of(record)


@cache
def bus() -> "Bus":
    import boto3

    from shared.messaging.bus import Bus

    return Bus(boto3.client("events", config=_aws_config()), read(ChangesSettings).event_bus_name)


@cache
def queue() -> "Queue":
    import boto3

    from shared.messaging.queue import Queue

    return Queue(boto3.client("sqs", config=_aws_config()), read(PlanSettings).reconcile_queue_url)


def world(context: "LambdaContext") -> "World":
    """What a reconcile works with."""
    from shared.services.walk import Rules, World

    told = read(ReconcileSettings)
    return World(
        call=call_by(Actor(RECONCILE), context),
        customers=customers(),
        connections=connections(),
        claims=claims(),
        codat=codat(context),
        rules=Rules(told.adopt_strays, timedelta(days=told.abandoned_after_days)),
    )


def codat(context: "LambdaContext") -> "Codat":
    """Codat within what is left of this invocation; the connections to it are kept across invocations."""
    from shared.codat.api import Codat
    from shared.codat.transport import Transport

    def left() -> float:
        return clock.seconds_left(context) - _TO_STORE_THE_ANSWER

    return Codat(Transport(_http(), secrets(), left, clock.now, Telemetry()), tag_key=settings().codat_tag_key)


@cache
def _http() -> "httpx.Client":
    import httpx

    return httpx.Client(base_url=settings().codat_base_url)


@cache
def _table() -> "Table":
    import boto3

    from shared.store.table import Table

    return Table(boto3.client("dynamodb", config=_aws_config()), settings().table_name)


def _aws_config() -> "Config":
    """One try is bounded, and the table repeats what is worth it: together well under Codat's 15 s."""
    from botocore.config import Config

    return Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"})
