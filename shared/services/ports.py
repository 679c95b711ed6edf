"""What the use cases need of the world. `shared.bootstrap` fills these in; tests bring their own."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared.domain.changes import Announcement
from shared.domain.claims import Claim, Terms
from shared.domain.connections import Connection, Observed, Status
from shared.domain.customers import AccessToken, Company, Content, Customer, Deletion, Ownership, Quota
from shared.domain.events import Event, KeptWebhook
from shared.domain.instants import Instant
from shared.domain.pages import Page
from shared.domain.timeline import Actor, TimelineEntry

_OUTLIVES_THE_HOLDER = timedelta(seconds=3)


class Telemetry(Protocol):
    def count(self, metric: str, **dimensions: str) -> None: ...

    def measure(self, metric: str, value: float) -> None: ...

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
    def claim(
        self,
        customer_id: str,
        content: Content,
        terms: Terms,
        company_id: str | None = None,
        *,
        adopted: bool = False,
    ) -> Claim | Customer: ...

    def reserve(self, claim: Claim, company_id: str) -> None: ...

    def abandon(self, claim: Claim, company_id: str) -> None: ...

    def activate(
        self,
        claim: Claim,
        company_id: str,
        now: datetime,
        *,
        key_id: str,
        kept_tags: Mapping[str, str] | None = None,
    ) -> Customer: ...

    def find(self, customer_id: str) -> Customer | None: ...

    def is_free(self, customer_id: str) -> bool: ...

    def find_many(self, customer_ids: Iterable[str]) -> list[Customer]: ...

    def being_deleted(self, customer_ids: Iterable[str]) -> list[str]: ...

    def ownership(self, company_id: str) -> Ownership: ...

    def change(self, changed: Customer, seen: Customer) -> bool: ...

    def settle(self, sent: Customer) -> bool: ...

    def page(self, limit: int, cursor: str | None) -> Page[Customer]: ...

    def all_ids(self) -> Iterator[str]: ...

    def begin_deletion(self, customer_id: str, terms: Terms) -> Deletion | Claim | None: ...

    def resume_deletion(self, customer_id: str, terms: Terms) -> Deletion | None: ...

    def release_deletion(self, deletion: Deletion) -> None: ...

    def end_company(self, company_id: str, customer_id: str) -> None: ...

    def forget(self, company_id: str, customer_id: str, now: datetime) -> None: ...


class Connections(Protocol):
    def claim(self, company_id: str, platform_key: str, terms: Terms) -> Claim: ...

    def abandoned_claim(self, company_id: str, platform_key: str, now: datetime) -> Claim | None: ...

    def find(self, company_id: str, connection_id: str) -> Connection | None: ...

    def find_with_owner(self, company_id: str, connection_id: str) -> tuple[Ownership, Connection | None]: ...

    def of_company(self, company_id: str) -> list[Connection]: ...

    def page(self, status: Status, limit: int, cursor: str | None) -> Page[Connection]: ...

    def timeline(self, connection: Connection, limit: int, cursor: str | None) -> Page[TimelineEntry]: ...

    def save(
        self, connection: Connection, entry: TimelineEntry | None, ended: Claim | None = None
    ) -> Connection | None: ...

    def note(self, entry: TimelineEntry) -> None: ...

    def bury(self, company_id: str, now: datetime) -> None: ...


class Unreadables(Protocol):
    def keep(self, webhook_id: str, body: bytes, why: str, now: datetime) -> None: ...

    def all(self, now: datetime) -> Iterator[KeptWebhook]: ...

    def forget(self, kept: KeptWebhook) -> None: ...


class Codat(Protocol):
    """Every method raises the CodatErrors of `shared.domain.errors`."""

    @property
    def quota(self) -> Quota | None:
        """As Codat's last answer told it."""

    @property
    def key_id(self) -> str:
        """Tells the API key of the last request from another one."""

    def seconds_left(self) -> float:
        """For asking Codat: the caller's time, less what storing the answer takes."""

    def create_company(self, customer_id: str, content: Content, idempotency_key: str) -> str: ...

    def update_company(
        self, company_id: str, customer_id: str, content: Content, kept_tags: Mapping[str, str]
    ) -> None: ...

    def delete_company(self, company_id: str) -> None: ...

    def company(self, company_id: str) -> Company | None: ...

    def companies_of(self, customer_ids: Sequence[str]) -> list[Company]: ...

    def companies(self, page: int, page_size: int, tags: str | None = None) -> tuple[list[Company], int]: ...

    def company_count(self) -> int: ...

    def fitting(self, customer_ids: Iterable[str]) -> Iterator[list[str]]: ...

    def access_token(self, company_id: str) -> AccessToken: ...

    def create_connection(self, company_id: str, platform_key: str, idempotency_key: str) -> Observed: ...

    def connection(self, company_id: str, connection_id: str) -> Observed: ...

    def connections(self, company_id: str) -> list[Observed]: ...

    def unlink(self, company_id: str, connection_id: str) -> Observed: ...

    def delete_connection(self, company_id: str, connection_id: str) -> Instant: ...


class SigningSecrets(Protocol):
    def webhook_secrets(self) -> Sequence[str]: ...

    def refresh_webhook_secrets(self) -> Sequence[str]: ...


class Door(Protocol):
    """How webhooks come in: who vouches for them, and what they say."""

    def verify(self, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> str:
        """The message's id. Raises NotAuthentic."""

    def read(self, body: bytes, now: datetime) -> Event:
        """Raises Unreadable."""


class Bus(Protocol):
    def put(self, announcements: Sequence[Announcement]) -> Mapping[int, str]:
        """Which of them, by position, were not taken, with EventBridge's error code."""


class Queue(Protocol):
    def send(self, messages: Iterable[Mapping[str, Any]]) -> int:
        """How many were sent."""
