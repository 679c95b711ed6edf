"""For functions that send requests to Codat."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import httpx

from shared.bootstrap import init_phase
from shared.bootstrap.stores import stores, table
from shared.codat.client import Codat
from shared.codat.transport import Transport
from shared.domain.timeline import CALLER, Actor
from shared.http.router import Request
from shared.runtime import clock
from shared.runtime.aws import client
from shared.runtime.clock import LambdaContext
from shared.runtime.observability import Telemetry
from shared.runtime.secrets import secrets
from shared.runtime.settings import settings
from shared.services.api_keys import ApiKeyTrust
from shared.services.context import CodatContext
from shared.store.api_keys import ApiKeys
from shared.store.leases import Leases

STORE_RESERVE_SECONDS = 6.0
"""Requests to Codat time out about this much before the function does, so that their result can still be stored."""


def initialize(*builders: Callable[[], object]) -> None:
    """Build the clients and what the function needs besides, and read the secret."""
    init_phase.initialize(lambda: client("dynamodb"), http, *builders, needs_secret=True)


def context(request: Request) -> CodatContext:
    return CodatContext(**stores_and_codat(Actor(CALLER, request.caller), request.context))


def stores_and_codat(actor: Actor, lambda_context: LambdaContext) -> dict[str, Any]:
    """Return the fields of a CodatContext."""
    seconds_left = partial(clock.seconds_left, lambda_context)
    own, limited = stores(actor, seconds_left), table(seconds_left)
    trust = ApiKeyTrust(ApiKeys(limited), own["customers"], clock.now, trusted_api_keys())
    transport = Transport(http(), secrets(), lambda: seconds_left() - STORE_RESERVE_SECONDS, clock.now, Telemetry())
    codat = Codat(transport, tag_key=settings().codat_tag_key, require_trust=trust.require)
    return {**own, "seconds_left": seconds_left, "leases": Leases(limited), "codat": codat}


@cache
def trusted_api_keys() -> set[str]:
    """Return this process's cache of trusted fingerprints, empty at first. A trusted key stays trusted."""
    return set()


@cache
def http() -> httpx.Client:
    """Return this process's client for Codat; each request sets its own time-outs."""
    return httpx.Client(base_url=settings().codat_base_url)
