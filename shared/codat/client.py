"""Codat's API in the words of the domain.

Two rules hold for every request here. An API key that isn't trusted neither creates nor deletes. And that Codat doesn't
have something counts only under a trusted key: another Codat client's key shows nothing of ours.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import ValidationError

from shared.codat import wire
from shared.codat.transport import Answer, Transport, api_key_fingerprint
from shared.domain.connections import ConnectionSnapshot, Source
from shared.domain.customers import (
    CREATION_TAG,
    AccessToken,
    Company,
    Profile,
    Quota,
    company_name,
    customer_id_from_tag,
    is_customer_id,
    merge_tags,
)
from shared.domain.errors import CodatError, CodatInvalidResponse, CodatNotFound
from shared.domain.timestamps import Timestamp
from shared.retrying import retrying

_T = TypeVar("_T")
_UNKNOWN_TIME = "~"
"""Sorts after every time."""
PAGE_SIZE = 100
MAX_QUERY_CHARACTERS = 2_000
"""Codat allows 2,048."""


class KeyTrust(Protocol):
    def require(self, codat: "Codat", company_id: str | None) -> None:
        """Raise CodatRejectedCredentials unless the API key in use is trusted; `company_id` may prove it."""


@dataclass(frozen=True, slots=True)
class CompanyPage:
    companies: list[Company]
    unparseable: int


@dataclass(frozen=True, slots=True)
class ConnectionList:
    snapshots: list[ConnectionSnapshot]
    unparseable: list[Source]
    """Of each connection that could not be parsed, as far as it can be read."""


class Codat:
    """Codat within one invocation. Reads are retried within the caller's time; a creation is sent once.

    Every method raises the CodatErrors of `shared.domain.errors`, and SecretsUnavailable.
    """

    def __init__(self, transport: Transport, *, tag_key: str, trust: KeyTrust) -> None:
        self._transport = transport
        self._tag_key = tag_key
        self._trust = trust

    def seconds_left(self) -> float:
        """Return the time left for asking Codat: the caller's, less what storing the answer takes."""
        return self._transport.seconds_left()

    @property
    def quota(self) -> Quota | None:
        """The daily quota, as Codat's last answer showed it."""
        return self._transport.quota

    # Companies

    def create_company(self, customer_id: str, profile: Profile, creation_id: str, idempotency_key: str) -> str:
        """Create a company that is tagged with both ids, and return its id."""
        body = self._company_body(customer_id, profile, {CREATION_TAG: creation_id})
        answer = self._send("POST", "companies", json=body, idempotency_key=idempotency_key)
        return answer.read(wire.CompanyId).id

    def update_company(
        self, company_id: str, customer_id: str, profile: Profile, existing_tags: Mapping[str, str]
    ) -> None:
        """Set the company's name, description and tags; its tags are replaced as a whole."""
        body = self._company_body(customer_id, profile, existing_tags)
        # PATCH ignores null.
        body["description"] = profile.description or ""

        def send() -> None:
            path = ("companies", company_id)
            self._send("PATCH", *path, json=body, idempotency_key=str(uuid4())).read(wire.Company)

        self._retry(send)

    def restore_company(self, company_id: str, before: Mapping[str, Any]) -> None:
        """Set name, description and tags back to what was kept of the company. PUT replaces all three."""
        tags = dict(before["tags"])
        if before.get("taggedCustomerId"):
            tags[self._tag_key] = before["taggedCustomerId"]
        body = {"name": before["name"], "description": before.get("description") or "", "tags": tags}
        self._retry(lambda: self._send("PUT", "companies", company_id, json=body).read(wire.Company))

    def delete_company(self, company_id: str) -> None:
        """Delete the company with its connections. Raises CodatNotFound if it is gone already.

        A gateway can answer 2xx as well, and an empty body proves nothing. So the company is read once more.
        """
        self._retry(lambda: self._send("DELETE", "companies", company_id))
        if self.has_company(company_id):
            raise CodatInvalidResponse("Codat still returns the company after its deletion.")

    def company(self, company_id: str) -> Company | None:
        """Return the company; None if Codat has none, or none any more."""
        try:
            answer = self._retry(lambda: self._send("GET", "companies", company_id))
        except CodatNotFound:
            return None
        return self._company(answer.read(wire.Company), answer.read_at)

    def has_company(self, company_id: str) -> bool:
        """Return whether Codat has the company; also one that can't be parsed beyond its id."""
        try:
            self._retry(lambda: self._send("GET", "companies", company_id).read(wire.CompanyId))
        except CodatNotFound:
            return False
        return True

    def find_creation(self, customer_id: str, creation_id: str) -> list[str]:
        """Return the ids of the companies that carry both tags, oldest first. Codat's filter may lag behind.

        Raises CodatInvalidResponse if a company can't be parsed, because it may be the one.
        """
        found: list[tuple[str, str]] = []
        for entry, _ in self._tagged(f"{CREATION_TAG}={creation_id}"):
            company = self._parse(wire.TaggedCompany, entry)
            if company is None:
                raise CodatInvalidResponse("A company that may be this creation's can't be parsed.")
            tags = company.tags or {}
            if (tags.get(self._tag_key), tags.get(CREATION_TAG)) == (customer_id, creation_id):
                whole = self._parse(wire.Company, entry)
                age = whole.created if whole is not None and whole.created else _UNKNOWN_TIME
                found.append((age, company.id))
        if not found:
            self.require_trusted_key()
        return [company_id for _, company_id in sorted(found)]

    def companies_of(self, customer_ids: Sequence[str]) -> list[Company]:
        """Return the companies that are tagged with one of these customer ids, oldest first, with their connections.

        Companies that can't be parsed are left out. See `batches` for how many ids fit into a query.
        """
        if not all(map(is_customer_id, customer_ids)):
            raise ValueError("not a customer id: it must not become part of a query")
        query = "||".join(f"{self._tag_key}={customer_id}" for customer_id in customer_ids)
        parsed = [(self._parse(wire.Company, entry), read_at) for entry, read_at in self._tagged(query)]
        companies = [self._company(company, read_at) for company, read_at in parsed if company is not None]
        tagged = [company for company in companies if company.tagged_customer_id in customer_ids]
        return sorted(tagged, key=lambda company: (company.created_at, company.company_id))

    def companies(self, page: int, page_size: int) -> CompanyPage:
        """Return a page of all companies at Codat with their connections; pages count from 1."""
        document, read_at = self._company_page({"page": page, "pageSize": page_size})
        parsed = [self._parse(wire.Company, entry) for entry in document.results]
        companies = [self._company(company, read_at) for company in parsed if company is not None]
        return CompanyPage(companies, len(parsed) - len(companies))

    def _company_page(self, params: Mapping[str, Any]) -> tuple[wire.Page, Timestamp]:
        answer = self._retry(lambda: self._send("GET", "companies", params=params))
        return answer.read(wire.Page), answer.read_at

    def company_count(self) -> int:
        """Return the number of all companies at Codat, also of other apps."""
        params = {"page": 1, "pageSize": 1}
        return self._retry(lambda: self._send("GET", "companies", params=params).read(wire.Count).total_results)

    def batches(self, customer_ids: Iterable[str]) -> Iterator[list[str]]:
        """Split the ids into batches whose query stays within what Codat allows."""
        batch: list[str] = []
        length = 0
        for customer_id in customer_ids:
            # As long as the URL makes it: `=`, `|`, `@` and `:` take three characters each.
            term = len(quote(f"{self._tag_key}={customer_id}||", safe=""))
            if batch and (length + term > MAX_QUERY_CHARACTERS or len(batch) == PAGE_SIZE):
                yield batch
                batch, length = [], 0
            batch.append(customer_id)
            length += term
        if batch:
            yield batch

    def access_token(self, company_id: str) -> AccessToken:
        """Return a token for Codat's embedded Link component; valid for one company."""
        answer = self._retry(lambda: self._send("GET", "companies", company_id, "accessToken"))
        document = answer.read(wire.AccessToken)
        return AccessToken(document.access_token, document.expires_in, document.token_type)

    # Connections

    def create_connection(self, company_id: str, platform_key: str, idempotency_key: str) -> ConnectionSnapshot:
        path = ("companies", company_id, "connections")
        answer = self._send("POST", *path, json={"platformKey": platform_key}, idempotency_key=idempotency_key)
        created = answer.read(wire.LinkableConnection)
        return created.snapshot(answer.changed_at, created.link_url)

    def connection(self, company_id: str, connection_id: str) -> ConnectionSnapshot:
        """Return the connection as it is, with a fresh link URL. Raises CodatNotFound if Codat has none."""
        path = ("companies", company_id, "connections", connection_id)
        answer = self._retry(lambda: self._send("GET", *path))
        connection = answer.read(wire.LinkableConnection)
        return connection.snapshot(answer.read_at, connection.link_url)

    def connections(self, company_id: str) -> ConnectionList:
        """Return a company's connections, all pages. Codat's list may lag behind."""
        snapshots: list[ConnectionSnapshot] = []
        unparseable: list[Source] = []

        def read(page: int) -> tuple[int, int]:
            path = ("companies", company_id, "connections")
            params = {"page": page, "pageSize": PAGE_SIZE}
            answer = self._retry(lambda: self._send("GET", *path, params=params))
            document = answer.read(wire.Page)
            for entry in document.results:
                connection = self._parse(wire.DataConnection, entry)
                if connection is None:
                    unparseable.append(wire.source_hint(entry))
                else:
                    snapshots.append(connection.snapshot(answer.read_at))
            return len(document.results), document.total_results

        _read_all_pages(read)
        return ConnectionList(snapshots, unparseable)

    def unlink(self, company_id: str, connection_id: str) -> ConnectionSnapshot:
        """Sever a Linked connection; Codat rejects any other.

        Each attempt has an idempotency key of its own: under the first one's, Codat would replay a 500.
        """
        path = ("companies", company_id, "connections", connection_id)
        body = {"status": "Unlinked"}
        answer = self._retry(lambda: self._send("PATCH", *path, json=body, idempotency_key=str(uuid4())))
        return answer.read(wire.DataConnection).snapshot(answer.changed_at)

    def delete_connection(self, company_id: str, connection_id: str) -> Timestamp:
        """Revoke and remove a connection, and return when, on Codat's clock. Raises CodatNotFound if it is gone.

        The connection is read once more, as in `delete_company`.
        """
        path = ("companies", company_id, "connections", connection_id)
        answer = self._retry(lambda: self._send("DELETE", *path))
        try:
            self._retry(lambda: self._send("GET", *path))
        except CodatNotFound:
            return answer.changed_at
        raise CodatInvalidResponse("Codat still returns the connection after its deletion.")

    # The API key

    def require_trusted_key(self, company_id: str | None = None) -> None:
        """Raise CodatRejectedCredentials unless the API key in use is trusted; `company_id` may prove it."""
        self._trust.require(self, company_id)

    def api_key_fingerprint(self) -> str:
        return api_key_fingerprint(self._transport.api_key)

    def listed_fingerprints(self) -> frozenset[str]:
        """Return the fingerprints of all API keys of this Codat client; none if Codat doesn't list them.

        The answer contains the keys themselves: it is neither logged nor stored.
        """
        try:
            entries = self._transport.send("GET", "apiKeys").read(wire.ApiKeys).results
        except CodatError as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                raise
            return frozenset()
        parsed = (self._parse(wire.ApiKey, entry) for entry in entries)
        return frozenset(api_key_fingerprint(entry.api_key) for entry in parsed if entry is not None)

    def can_read(self, company_id: str) -> bool:
        """Return whether the API key shows this company."""
        try:
            # Past the rule on 404, because this answer is what the rule needs.
            answer = self._retry(lambda: self._transport.send("GET", "companies", company_id).read(wire.Company))
        except CodatNotFound:
            return False
        return answer.id == company_id

    def _send(self, method: str, *path: str, **options: Any) -> Answer:
        company_id = path[1] if len(path) > 1 else None
        if method in {"POST", "DELETE"}:
            self.require_trusted_key(company_id)
        try:
            return self._transport.send(method, *path, **options)
        except CodatNotFound:
            self.require_trusted_key(company_id)
            raise

    def _retry(self, call: Callable[[], _T]) -> _T:
        return retrying(self._transport.seconds_left)(call)

    # Documents

    def _company_body(self, customer_id: str, profile: Profile, existing_tags: Mapping[str, str]) -> dict[str, Any]:
        tags = {**merge_tags(profile, existing_tags), self._tag_key: customer_id}
        return {
            "name": company_name(profile, customer_id),
            **({} if profile.description is None else {"description": profile.description}),
            # In one order, whatever the store's: a body that is sent again under its key must be the same bytes.
            "tags": dict(sorted(tags.items())),
        }

    def _tagged(self, query: str) -> list[tuple[Any, Timestamp]]:
        """Return the entries of a tag query, all pages, each with the time at which it was so."""
        entries: list[tuple[Any, Timestamp]] = []

        def read(page: int) -> tuple[int, int]:
            document, read_at = self._company_page({"page": page, "pageSize": PAGE_SIZE, "tags": query})
            entries.extend((entry, read_at) for entry in document.results)
            return len(document.results), document.total_results

        _read_all_pages(read)
        return entries

    def _company(self, company: wire.Company, at: Timestamp) -> Company:
        tags = dict(company.tags or {})
        entries = company.data_connections or []
        connections = [self._parse(wire.DataConnection, entry) for entry in entries]
        snapshots = tuple(connection.snapshot(at) for connection in connections if connection is not None)
        return Company(
            company_id=company.id,
            tagged_customer_id=customer_id_from_tag(tags.pop(self._tag_key, None)),
            created_at=company.created or Timestamp(""),
            name=company.name,
            description=company.description or None,
            tags=tags,
            connections=snapshots,
            unparseable_connections=len(entries) - len(snapshots),
            link_url=company.redirect,
        )

    @staticmethod
    def _parse(model: type[wire.Model], entry: Any) -> wire.Model | None:
        try:
            return model.model_validate(entry)
        except ValidationError:
            return None


def _read_all_pages(read: Callable[[int], tuple[int, int]]) -> None:
    """Call `read` for page 1 and the following ones; it returns the entries on the page, and how many there are in all.

    A page may be shorter than requested.
    """
    page, seen = 1, 0
    while True:
        entries, total = read(page)
        page, seen = page + 1, seen + entries
        if not entries or seen >= total:
            return
