"""The composition root: the one place that builds clients, each on its first use and then kept.

Imports stand inside the functions, so that a cold start pays only for what its function uses.
"""

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid4

from shared.domain.platforms import Offer
from shared.domain.timeline import Actor
from shared.runtime import clock
from shared.runtime.observability import Telemetry
from shared.runtime.settings import settings
from shared.services.ports import Call

if TYPE_CHECKING:
    import httpx

    from shared.codat.api import Codat
    from shared.runtime.edge import Request
    from shared.runtime.secrets import Secrets
    from shared.services.ports import Door
    from shared.store.claims import Claims
    from shared.store.connections import Connections
    from shared.store.customers import Customers
    from shared.store.table import Table
    from shared.store.unreadable import Unreadables

_TO_STORE_THE_ANSWER = 6.0
"""Seconds kept back from Codat: what it answers still has to be written, and the caller to be told."""


def call(request: "Request") -> Call:
    return Call(
        actor=Actor("caller", request.caller),
        telemetry=Telemetry(),
        now=clock.now,
        new_id=lambda: str(uuid4()),
        seconds_left=lambda: clock.seconds_left(request.context),
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


def codat(request: "Request") -> "Codat":
    """Codat within what is left of this request's time; the connections to it are kept across requests."""
    from shared.codat.api import Codat
    from shared.codat.transport import Transport

    def left() -> float:
        return clock.seconds_left(request.context) - _TO_STORE_THE_ANSWER

    return Codat(Transport(_http(), secrets(), left, clock.now), tag_key=settings().codat_tag_key)


@cache
def _http() -> "httpx.Client":
    import httpx

    return httpx.Client(base_url=settings().codat_base_url)


@cache
def _table() -> "Table":
    import boto3
    from botocore.config import Config

    from shared.store.table import Table

    # One try is bounded, and the table repeats what is worth it: together well under Codat's 15 s.
    config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"})
    return Table(boto3.client("dynamodb", config=config), settings().table_name)
