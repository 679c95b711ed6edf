"""Codat's API in the words of the domain."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

from shared.codat import wire
from shared.codat.transport import Transport
from shared.domain.connections import Observed
from shared.domain.customers import (
    AccessToken,
    Company,
    Content,
    Quota,
    company_name,
    customer_of,
    is_customer_id,
)
from shared.domain.errors import CodatNotFound
from shared.domain.instants import Instant
from shared.retrying import retrying

_T = TypeVar("_T")
_PAGE_SIZE = 100
_MOST_QUERY_CHARACTERS = 2_000
"""Codat takes 2,048."""


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
        body = self._content(customer_id, content, {})
        answer = self._transport.send("POST", "companies", json=body, idempotency_key=idempotency_key)
        return answer.read(wire.Company).id

    def update_company(self, company_id: str, customer_id: str, content: Content, kept_tags: Mapping[str, str]) -> None:
        """Makes the company's name, description and tags these; its tags are replaced as a whole."""
        body = self._content(customer_id, content, kept_tags)
        # PATCH leaves alone what is null.
        body["description"] = content.description or ""

        def send() -> None:
            path = ("companies", company_id)
            self._transport.send("PATCH", *path, json=body, idempotency_key=str(uuid4())).read(wire.Company)

        self._repeat(send)

    def delete_company(self, company_id: str) -> None:
        """Deletes the company with its connections. Raises CodatNotFound where it is gone already."""
        self._repeat(lambda: self._transport.send("DELETE", "companies", company_id).read_nothing())

    def company(self, company_id: str) -> Company | None:
        """None where Codat has no such company, or none any more."""
        try:
            answer = self._repeat(lambda: self._transport.send("GET", "companies", company_id))
        except CodatNotFound:
            return None
        return self._company(answer.read(wire.Company), answer.read_at)

    def companies_of(self, customer_ids: Sequence[str]) -> list[Company]:
        """The companies whose tag is exactly one of these customer ids, oldest first, with their connections.

        Codat's filter is a hint: what it returns is believed only where the tag itself says so. How many ids fit into
        a query, see `fitting`.
        """
        if not all(map(is_customer_id, customer_ids)):
            raise ValueError("not a customer id: it must not enter a query")
        query = "||".join(f"{self._tag_key}={customer_id}" for customer_id in customer_ids)
        told = _all_pages(lambda page: self.companies(page, _PAGE_SIZE, query))
        found = [company for company in told if company.customer_id in customer_ids]
        return sorted(found, key=lambda company: (company.created_at, company.company_id))

    def companies(self, page: int, page_size: int, tags: str | None = None) -> tuple[list[Company], int]:
        """A page of Codat's companies with their connections, counted from 1, and how many there are in all.

        Raises CodatMadeNoSense where one of them can't be read.
        """
        params = {"page": page, "pageSize": page_size} | ({} if tags is None else {"tags": tags})
        answer = self._repeat(lambda: self._transport.send("GET", "companies", params=params))
        told = answer.read(wire.Companies)
        return [self._company(company, answer.read_at) for company in told.results], told.total_results

    def company_count(self) -> int:
        """Of all companies at Codat, other apps' included."""
        params = {"page": 1, "pageSize": 1}
        return self._repeat(
            lambda: self._transport.send("GET", "companies", params=params).read(wire.Count).total_results
        )

    def fitting(self, customer_ids: Iterable[str]) -> Iterator[list[str]]:
        """The ids in batches whose query stays within what Codat takes."""
        batch: list[str] = []
        length = 0
        for customer_id in customer_ids:
            # As long as the URL makes it, where `=`, `|`, `@` and `:` take three characters each.
            term = len(quote(f"{self._tag_key}={customer_id}||", safe=""))
            if batch and (length + term > _MOST_QUERY_CHARACTERS or len(batch) == _PAGE_SIZE):
                yield batch
                batch, length = [], 0
            batch.append(customer_id)
            length += term
        if batch:
            yield batch

    def access_token(self, company_id: str) -> AccessToken:
        """For Codat's embedded Link component; good for one company."""
        answer = self._repeat(lambda: self._transport.send("GET", "companies", company_id, "accessToken"))
        told = answer.read(wire.AccessToken)
        return AccessToken(told.access_token, told.expires_in, told.token_type)

    @property
    def quota(self) -> Quota | None:
        """As Codat's last answer told it."""
        return self._transport.quota

    @property
    def key_id(self) -> str:
        """Tells the API key of the last request from another one."""
        return self._transport.key_id

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
        def read(page: int) -> tuple[list[Observed], int]:
            path = ("companies", company_id, "connections")
            params = {"page": page, "pageSize": _PAGE_SIZE}
            answer = self._repeat(lambda: self._transport.send("GET", *path, params=params))
            told = answer.read(wire.Connections)
            return [_observed(found, answer.read_at) for found in told.results], told.total_results

        return list(_all_pages(read))

    def unlink(self, company_id: str, connection_id: str) -> Observed:
        """Severs a Linked connection; Codat refuses any other.

        Every try is an intent of its own, with a key of its own: under the first one's, Codat would replay a 500.
        """
        path = ("companies", company_id, "connections", connection_id)
        body = {"status": "Unlinked"}
        answer = self._repeat(lambda: self._transport.send("PATCH", *path, json=body, idempotency_key=str(uuid4())))
        return _observed(answer.read(wire.DataConnection), answer.changed_at)

    def delete_connection(self, company_id: str, connection_id: str) -> Instant:
        """Revokes and removes a connection; when, on Codat's clock. Raises CodatNotFound where it is gone already."""
        path = ("companies", company_id, "connections", connection_id)

        def send() -> Instant:
            answer = self._transport.send("DELETE", *path)
            answer.read_nothing()
            return answer.changed_at

        return self._repeat(send)

    def _content(self, customer_id: str, content: Content, kept_tags: Mapping[str, str]) -> dict[str, Any]:
        return {
            "name": company_name(content, customer_id),
            **({} if content.description is None else {"description": content.description}),
            # In one order, whatever the store's: a body that is sent again under its key must be the same to the byte.
            "tags": dict(sorted({**kept_tags, **content.tags, self._tag_key: customer_id}.items())),
        }

    def _company(self, company: wire.Company, at: Instant) -> Company:
        tags = dict(company.tags or {})
        return Company(
            company_id=company.id,
            customer_id=customer_of(tags.pop(self._tag_key, None)),
            created_at=Instant(company.created or ""),
            name=company.name,
            description=company.description or None,
            tags=tags,
            connections=tuple(_observed(one, at) for one in company.data_connections or ()),
            link_url=company.redirect,
        )

    def _repeat(self, call: Callable[[], _T]) -> _T:
        return retrying(self._transport.seconds_left)(call)


def _all_pages(read: Callable[[int], tuple[list[_T], int]]) -> Iterator[_T]:
    """What `read` gives of page 1 and of those that follow; it tells how many there are in all."""
    page, total = 1, 1
    while (page - 1) * _PAGE_SIZE < total:
        found, total = read(page)
        yield from found
        page += 1


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
