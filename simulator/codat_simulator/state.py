"""The companies and connections, and the operations on them.

Any thread may call any method. Each change emits its event under the lock, so events have the order of the changes.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import RLock
from typing import Any
from uuid import uuid4

from codat_simulator import errors, query
from codat_simulator.errors import ApiError
from codat_simulator.history import History
from codat_simulator.models import Company, Connection, LinkError
from codat_simulator.platforms import PLATFORMS
from codat_simulator.serializer import Serializer, initial_read_payload
from codat_simulator.tag_index import TagIndex


@dataclass(frozen=True)
class Event:
    """An event before its delivery. Consumers filter by `tags`, even if the payload has none."""

    type: str
    company_id: str
    tags: dict[str, str]
    payload: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CompanyChange:
    """The new values of a company. None keeps a value."""

    name: str | None = None
    description: str | None = None
    tags: dict[str, str] | None = None


class State:
    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        serializer: Serializer,
        emit: Callable[[Event], None],
        on_authorized: Callable[[str, str], None],
    ) -> None:
        self.company_limit: int | None = None
        self.list_lag = 0.0
        self.platforms = dict(PLATFORMS)
        self._now = now
        self._serializer = serializer
        self._emit = emit
        self._on_authorized = on_authorized
        self._companies: dict[str, Company] = {}
        self._index = TagIndex()
        self._history = History()
        self._created = 0
        self._lock = RLock()

    # Reads

    def companies(self, expression: query.Expression | None = None) -> list[Company]:
        """Return the companies whose tags match, oldest first."""
        with self._lock:
            companies = self._companies.values()
            return list(companies) if expression is None else self._index.select(expression, companies)

    def company(self, company_id: str) -> Company:
        with self._lock:
            company = self._companies.get(company_id.lower())
        if company is None:
            raise errors.company_not_found(company_id)
        return company

    def connection(self, company_id: str, connection_id: str) -> Connection:
        connection = self.company(company_id).connections.get(connection_id.lower())
        if connection is None:
            raise errors.not_found("Data connection", connection_id)
        return connection

    def list_companies(self, expression: query.Expression | None = None) -> list[Company]:
        """Return the result of `companies` as it was `list_lag` seconds ago."""
        with self._lock:
            if not self.list_lag:
                return self.companies(expression)
            companies = self._lagging().values()
        return [company for company in companies if expression is None or expression.holds(company.tags.get)]

    def list_connections(self, company_id: str) -> list[Connection]:
        """Return the company's connections as they were `list_lag` seconds ago.

        The company itself is read by id, without lag: a deleted company is not found, and a new company has
        an empty list.
        """
        with self._lock:
            company: Company | None = self.company(company_id)
            if company is not None and self.list_lag:
                company = self._lagging().get(company.id)
        return [] if company is None else list(company.connections.values())

    @property
    def active_companies(self) -> int:
        with self._lock:
            return sum(company.active for company in self._companies.values())

    # Operations of the API

    def create_company(self, change: CompanyChange) -> Company:
        with self._lock:
            if self.company_limit is not None and len(self._companies) >= self.company_limit:
                raise errors.company_limit_reached(self.company_limit)
            self._created += 1
            company = Company(
                id=str(uuid4()),
                number=self._created,
                name=change.name or "",
                description=change.description or "",
                tags=dict(change.tags or {}),
                created=self._now(),
            )
            self._history.record(company.created, company.id, None)
            self._companies[company.id] = company
            self._index.add(company)
            self._emit_company("company.created", company)
            return company

    def change_company(self, company_id: str, change: CompanyChange) -> Company:
        with self._lock:
            company = self.company(company_id)
            self._record(company)
            self._index.remove(company)
            company.name = company.name if change.name is None else change.name
            company.description = company.description if change.description is None else change.description
            company.tags = company.tags if change.tags is None else dict(change.tags)
            self._index.add(company)
            return company

    def delete_company(self, company_id: str) -> None:
        with self._lock:
            company = self.company(company_id)
            self._record(company)
            del self._companies[company.id]
            self._index.remove(company)
            self._emit_company("company.deleted", company)

    def create_connection(self, company_id: str, platform_key: str) -> Connection:
        with self._lock:
            company = self.company(company_id)
            platform = self.platforms.get(platform_key)
            if platform is None or not platform.enabled:
                # Of the errors that Codat's contract has for this request, the one that fits.
                raise errors.not_found("Integration", platform_key)
            connection = Connection(id=str(uuid4()), company_id=company.id, platform=platform, created=self._now())
            self._record(company)
            # A new dictionary, because another thread may be iterating over the old dictionary.
            company.connections = {**company.connections, connection.id: connection}
            self._emit_connection("connection.created", connection)
            return connection

    def unlink(self, company_id: str, connection_id: str) -> Connection:
        with self._lock:
            connection = self.connection(company_id, connection_id)
            if connection.status != "Linked":
                raise errors.not_linked(connection.id, connection.status)
            self._record(self.company(company_id))
            connection.status = "Unlinked"
            self._emit_connection("connection.disconnected", connection)
            return connection

    def delete_connection(self, company_id: str, connection_id: str) -> None:
        with self._lock:
            connection = self.connection(company_id, connection_id)
            # The event has the last status, as in Codat's example.
            self._emit_connection("connection.deleted", connection)
            company = self.company(company_id)
            self._record(company)
            company.connections = {k: c for k, c in company.connections.items() if k != connection.id}

    # Operations in the portal

    def enable_platform(self, key: str, *, enabled: bool = True) -> None:
        with self._lock:
            self.platforms = {**self.platforms, key: replace(self.platforms[key], enabled=enabled)}

    # Operations of the customer and the accounting platform

    def link(self, company_id: str, connection_id: str) -> Connection:
        """Authorise the connection. Raise an ApiError (409) if another accounting connection is Linked."""
        with self._lock:
            company = self.company(company_id)
            connection = self.connection(company_id, connection_id)
            if connection.status == "Linked":
                return connection
            if connection.platform.source_type == "Accounting":
                for other in company.connections.values():
                    if other.status == "Linked" and other.platform.source_type == "Accounting":
                        raise ApiError(409, f"{company.name} is already connected to {other.platform.name}.")
            self._record(company)
            event_type = "connection.reconnected" if connection.ever_linked else "connection.connected"
            connection.status, connection.error, connection.ever_linked = "Linked", None, True
            self._emit_connection(event_type, connection)
            self._on_authorized(company.id, connection.id)
            return connection

    def cancel(
        self,
        company_id: str,
        connection_id: str,
        *,
        status_code: str = "403",
        status_text: str = "User cancelled linking",
        message: str = "User cancelled",
    ) -> Connection:
        """Let linking fail, by default because the customer cancels. The status stays."""
        with self._lock:
            connection = self.connection(company_id, connection_id)
            if connection.status == "Linked":
                raise ApiError(409, "This connection is already linked.")
            error = LinkError(status_code=status_code, status_text=status_text, message=message, at=self._now())
            self._record(self.company(company_id))
            connection.error = error
            self._emit_connection("connection.failed", connection)
            return connection

    def revoke(self, company_id: str, connection_id: str) -> Connection:
        """Let the accounting platform end the authorisation. Raise an ApiError (409) unless Linked."""
        with self._lock:
            connection = self.connection(company_id, connection_id)
            if connection.status != "Linked":
                raise ApiError(409, f"A connection that is {connection.status} can't be revoked.")
            text = "The integration de-authorized access to the connection."
            self._record(self.company(company_id))
            connection.status = "Deauthorized"
            connection.error = LinkError(status_code="401", status_text=text, message=text, at=self._now())
            self._emit_connection("connection.disconnected", connection)
            return connection

    def finish_initial_read(
        self,
        company_id: str,
        connection_id: str,
        *,
        failed: Collection[str] = (),
        failure_status: str = "FetchError",
    ) -> bool:
        """Send `read.completed.initial` if the connection is Linked, and return whether it is.

        The data types in `failed` get `failure_status` and an issue, all others `Complete`. Raise ValueError
        if `failed` contains a data type that is not read from this connection, or if `failure_status` is not
        a failure.
        """
        with self._lock:
            company = self._companies.get(company_id)
            connection = company.connections.get(connection_id) if company else None
            if company is None or connection is None or connection.status != "Linked":
                return False
            payload = initial_read_payload(company, connection, failed=failed, failure_status=failure_status)
            if any(data_type["status"] == "Complete" for data_type in payload["dataTypes"]):
                self._record(company)
                connection.last_sync = self._now()
            self._emit(Event("read.completed.initial", company.id, dict(company.tags), payload))
            return True

    def clear(self) -> None:
        """Delete everything, without events."""
        with self._lock:
            self._companies.clear()
            self.platforms = dict(PLATFORMS)
            self._index = TagIndex()
            self._history.clear()

    def _record(self, company: Company) -> None:
        self._history.record(self._now(), company.id, company)

    def _lagging(self) -> dict[str, Company]:
        return self._history.rewind(self._companies, self._now() - timedelta(seconds=self.list_lag))

    def _emit_company(self, event_type: str, company: Company) -> None:
        self._emit(Event(event_type, company.id, dict(company.tags), self._serializer.company_details(company)))

    def _emit_connection(self, event_type: str, connection: Connection) -> None:
        company = self.company(connection.company_id)
        payload = self._serializer.connection_payload(company, connection)
        self._emit(Event(event_type, company.id, dict(company.tags), payload))
