"""What the use cases need of the world. `shared.bootstrap` fills these in; tests bring their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.claims import Claim, Terms
from shared.domain.connections import Connection, Observed
from shared.domain.customers import Company, Content, Customer
from shared.domain.events import Event
from shared.domain.timeline import Actor, TimelineEntry

_OUTLIVES_THE_HOLDER = timedelta(seconds=3)


class Telemetry(Protocol):
    def count(self, metric: str, **dimensions: str) -> None: ...

    def measure_seconds(self, metric: str, seconds: float) -> None: ...

    def warn(self, message: str, **keys: object) -> None:
        """A constant message; ids as keys, never bodies, link URLs or secrets."""

    def note(self, **ids: str | None) -> None:
        """Adds ids to every later line of this call's log."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a use case: who asks, what time it is, and how much of it is left."""

    actor: Actor
    telemetry: Telemetry
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    """A random GUID."""
    seconds_left: Callable[[], float]
    """Until the process that serves this call is ended."""

    def terms(self) -> Terms:
        return Terms(
            now=self.now(),
            # Another process may take over only when this one is certainly dead.
            lease=timedelta(seconds=self.seconds_left()) + _OUTLIVES_THE_HOLDER,
            owner=self.new_id(),
            idempotency_key=self.new_id(),
        )


class Claims(Protocol):
    def renew_key(self, claim: Claim, key: str, now: datetime) -> Claim: ...

    def release(self, claim: Claim) -> None: ...

    def drop(self, claim: Claim) -> None: ...


class Customers(Protocol):
    def claim(self, customer_id: str, content: Content, terms: Terms) -> Claim | Customer: ...

    def activate(self, claim: Claim, company_id: str, now: datetime) -> Customer: ...

    def find(self, customer_id: str) -> Customer | None: ...


class Connections(Protocol):
    def claim(self, company_id: str, platform_key: str, terms: Terms) -> Claim: ...

    def abandoned_claim(self, company_id: str, platform_key: str, now: datetime) -> Claim | None: ...

    def find(self, company_id: str, connection_id: str) -> Connection | None: ...

    def find_with_owner(self, company_id: str, connection_id: str) -> tuple[str | None, Connection | None]: ...

    def of_company(self, company_id: str) -> list[Connection]: ...

    def save(
        self, connection: Connection, entry: TimelineEntry | None, ended: Claim | None = None
    ) -> Connection | None: ...

    def note(self, entry: TimelineEntry) -> None: ...


class Unreadables(Protocol):
    def keep(self, webhook_id: str, body: bytes, why: str, now: datetime) -> None: ...


class Codat(Protocol):
    """Every method raises the CodatErrors of `shared.domain.errors`."""

    def seconds_left(self) -> float:
        """For asking Codat: the caller's time, less what storing the answer takes."""

    def create_company(self, customer_id: str, content: Content, idempotency_key: str) -> str: ...

    def company(self, company_id: str) -> Company | None: ...

    def companies_of(self, customer_id: str) -> list[Company]: ...

    def create_connection(self, company_id: str, platform_key: str, idempotency_key: str) -> Observed: ...

    def connection(self, company_id: str, connection_id: str) -> Observed: ...

    def connections(self, company_id: str) -> list[Observed]: ...

    def unlink(self, company_id: str, connection_id: str) -> Observed: ...


class SigningSecrets(Protocol):
    def webhook_secrets(self) -> Sequence[str]: ...

    def refresh_webhook_secrets(self) -> Sequence[str]: ...


class Door(Protocol):
    """How webhooks come in: who vouches for them, and what they say."""

    def verify(self, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> str:
        """The message's id. Raises NotAuthentic."""

    def read(self, body: bytes, now: datetime) -> Event:
        """Raises Unreadable."""
