"""For functions that read the table."""

from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from typing import Any
from uuid import uuid4

from shared.bootstrap import init_phase
from shared.domain.platforms import PlatformFilter
from shared.domain.timeline import CALLER, Actor
from shared.http.router import Request
from shared.runtime import clock
from shared.runtime.aws import client
from shared.runtime.observability import Telemetry
from shared.runtime.settings import settings
from shared.services.context import Context
from shared.services.platform_catalog import PlatformCache, PlatformCatalog
from shared.store.connections import Connections
from shared.store.customers import Customers
from shared.store.invitations import Invitations
from shared.store.platforms import Platforms
from shared.store.table import Table


def initialize() -> None:
    init_phase.initialize(lambda: client("dynamodb"))


def context(request: Request) -> Context:
    return Context(**stores(Actor(CALLER, request.caller), partial(clock.seconds_left, request.context)))


def stores(actor: Actor, seconds_left: Callable[[], float]) -> dict[str, Any]:
    """Return the fields of a Context."""
    own, limited = settings(), table(seconds_left)
    platform_filter = PlatformFilter(own.platform_keys, own.source_types, allow_sandbox=own.allow_sandbox)
    return {
        "actor": actor,
        "telemetry": Telemetry(),
        "now": clock.now,
        "new_id": lambda: str(uuid4()),
        "customers": Customers(limited),
        "connections": Connections(limited, timeline_lifetime=timedelta(days=own.timeline_days)),
        "invitations": Invitations(limited),
        "platforms": PlatformCatalog(Platforms(limited), clock.now, platform_cache(), platform_filter),
    }


def table(seconds_left: Callable[[], float]) -> Table:
    return Table(client("dynamodb"), settings().table_name, seconds_left=seconds_left)


@cache
def platform_cache() -> PlatformCache:
    return PlatformCache()
