"""Codat's API in the words of the domain."""

from collections.abc import Callable
from typing import TypeVar
from uuid import uuid4

from shared.codat import wire
from shared.codat.transport import Transport
from shared.domain.connections import Observed
from shared.domain.customers import Company, Content, company_name, is_customer_id
from shared.domain.errors import CodatNotFound
from shared.domain.instants import Instant
from shared.retrying import retrying

_T = TypeVar("_T")
_PAGE_SIZE = 100


class Codat:
    """Reads are tried again inside the caller's time. A creation is sent once: repeating it is the caller's craft.

    Every method raises the CodatErrors of `shared.domain.errors`.
    """

    def __init__(self, transport: Transport, *, tag_key: str) -> None:
        self._transport = transport
        self._tag_key = tag_key

    def seconds_left(self) -> float:
        return self._transport.seconds_left()

    def create_company(self, customer_id: str, content: Content, idempotency_key: str) -> str:
        """A new company tagged with the customer's id; its id."""
        answer = self._transport.send(
            "POST",
            "companies",
            json={
                "name": company_name(content, customer_id),
                **({} if content.description is None else {"description": content.description}),
                "tags": {**content.tags, self._tag_key: customer_id},
            },
            idempotency_key=idempotency_key,
        )
        return answer.read(wire.Company).id

    def company(self, company_id: str) -> Company | None:
        """None where Codat has no such company, or none any more."""
        try:
            answer = self._repeat(lambda: self._transport.send("GET", "companies", company_id))
        except CodatNotFound:
            return None
        return _company(answer.read(wire.Company))

    def companies_of(self, customer_id: str) -> list[Company]:
        """The companies whose tag is exactly this customer id, oldest first.

        Codat's filter is a hint: what it returns is believed only where the tag itself says so.
        """
        if not is_customer_id(customer_id):
            raise ValueError("not a customer id: it must not enter a query")
        params = {"tags": f"{self._tag_key}={customer_id}", "page": 1, "pageSize": _PAGE_SIZE}
        answer = self._repeat(lambda: self._transport.send("GET", "companies", params=params))
        found = [
            _company(company)
            for company in answer.read(wire.Companies).results
            if (company.tags or {}).get(self._tag_key) == customer_id
        ]
        return sorted(found, key=lambda company: (company.created_at, company.company_id))

    def create_connection(self, company_id: str, platform_key: str, idempotency_key: str) -> Observed:
        answer = self._transport.send(
            "POST",
            *("companies", company_id, "connections"),
            json={"platformKey": platform_key},
            idempotency_key=idempotency_key,
        )
        created = answer.read(wire.LinkableConnection)
        return _observed(created, answer.changed_at, created.link_url)

    def connection(self, company_id: str, connection_id: str) -> Observed:
        """The connection as it is, with a fresh link URL."""
        path = ("companies", company_id, "connections", connection_id)
        answer = self._repeat(lambda: self._transport.send("GET", *path))
        found = answer.read(wire.LinkableConnection)
        return _observed(found, answer.read_at, found.link_url)

    def connections(self, company_id: str) -> list[Observed]:
        path = ("companies", company_id, "connections")
        params = {"page": 1, "pageSize": _PAGE_SIZE}
        answer = self._repeat(lambda: self._transport.send("GET", *path, params=params))
        return [_observed(found, answer.read_at) for found in answer.read(wire.Connections).results]

    def unlink(self, company_id: str, connection_id: str) -> Observed:
        """Severs a Linked connection; Codat refuses any other.

        Every try is an intent of its own, with a key of its own: under the first one's, Codat would replay a 500.
        """
        path = ("companies", company_id, "connections", connection_id)
        body = {"status": "Unlinked"}
        answer = self._repeat(lambda: self._transport.send("PATCH", *path, json=body, idempotency_key=str(uuid4())))
        return _observed(answer.read(wire.DataConnection), answer.changed_at)

    def _repeat(self, call: Callable[[], _T]) -> _T:
        return retrying(self._transport.seconds_left)(call)


def _company(company: wire.Company) -> Company:
    return Company(company.id, Instant(company.created or ""), company.tags or {})


def _observed(found: wire.DataConnection, at: Instant, link_url: str | None = None) -> Observed:
    return Observed(
        at=at,
        connection_id=found.id,
        source=found.source,
        created_at=found.created_at,
        status=found.known_status,
        reason=found.reason,
        last_sync=found.synced_at,
        link_url=link_url,
    )
