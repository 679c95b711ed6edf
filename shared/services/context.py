"""The context of a use case: actor, clock, ids, telemetry, stores and the Codat client."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.domain.leases import LeaseRequest
from shared.domain.timeline import Actor
from shared.domain.timestamps import Timestamp, timestamp_of

if TYPE_CHECKING:
    from shared.codat.client import Codat
    from shared.codat.signature import WebhookVerifier
    from shared.domain.events import Event
    from shared.domain.telemetry import Telemetry
    from shared.services.platform_catalog import PlatformCatalog
    from shared.store.connections import Connections
    from shared.store.customers import Customers
    from shared.store.invitations import Invitations
    from shared.store.leases import Leases
    from shared.store.quarantine import Quarantine

_LEASE_MARGIN = timedelta(seconds=3)
"""A lease ends this long after its owner's invocation, so that no takeover happens while the owner still runs."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every use case has. `CodatContext` adds what requests to Codat need."""

    actor: Actor
    telemetry: "Telemetry"
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    """Returns a random GUID."""
    customers: "Customers"
    connections: "Connections"
    invitations: "Invitations"
    platforms: "PlatformCatalog"

    def timestamp(self) -> Timestamp:
        return timestamp_of(self.now())


@dataclass(frozen=True, slots=True)
class WebhookContext(Context):
    verifier: "WebhookVerifier"
    parse_event: Callable[[bytes, datetime], "Event"]
    """Parses an authentic body at the current time. Raises UnparseableEvent."""
    company_in: Callable[[bytes], str | None]
    """Returns the id of the company that an unparseable body is about, if it can be read."""
    quarantine: "Quarantine"


@dataclass(frozen=True, slots=True)
class CodatContext(Context):
    seconds_left: Callable[[], float]
    """Until the invocation ends."""
    leases: "Leases"
    codat: "Codat"

    def lease_request(self) -> LeaseRequest:
        """Return the inputs of a lease that outlasts this invocation, with a new owner and new ids each time."""
        return LeaseRequest(
            now=self.now(),
            duration=timedelta(seconds=self.seconds_left()) + _LEASE_MARGIN,
            owner=self.new_id(),
            idempotency_key=self.new_id(),
            creation_id=self.new_id(),
        )
