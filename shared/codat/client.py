"""Codat's API in the terms of the domain.

Two rules hold for all requests, except for those that prove an API key (`listed_fingerprints`, `can_read`). An
untrusted API key neither creates nor deletes. And a 404 counts only under a trusted key, because another Codat client's
key can't read our companies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import ValidationError

from shared.codat import wire
from shared.codat.transport import Response, Transport, api_key_fingerprint
from shared.domain import customers
from shared.domain.connections import Precedence, Source, StatusUpdate, stamp
from shared.domain.customers import CREATION_TAG, AccessToken, Company, Profile, Quota
from shared.domain.errors import CodatError, CodatInvalidResponse, CodatNotFound
from shared.domain.platforms import Platform
from shared.domain.timestamps import Timestamp
from shared.retrying import retrying

_T = TypeVar("_T")
_UNKNOWN_TIME = "~"
"""Sorts after all times."""
PAGE_SIZE = 100
MAX_QUERY_CHARACTERS = 2_000
"""Codat allows 2,048."""
RequireTrust = Callable[["Codat", str | None], None]
"""`ApiKeyTrust.require`."""


class Codat:
    """Codat within one invocation. Every request but a creation is repeated while the caller's time lasts.

    Requests raise the CodatErrors of `shared.domain.errors`, SecretsUnavailable, and StoreUnavailable if the trust of
    the API key has to be read from the table.
    """

    def __init__(self, transport: Transport, *, tag_key: str, require_trust: RequireTrust) -> None:
        self._transport = transport
        self._tag_key = tag_key
        self._require_trust = require_trust
        self.seconds_left = transport.seconds_left
        """Seconds left for requests to Codat: the caller's, without those reserved for storing the results."""

    @property
    def quota(self) -> Quota | None:
        """The daily quota from the last response that contained it; None before."""
        return self._transport.quota

    # Companies

    def create_company(self, customer_id: str, profile: Profile, creation_id: str, idempotency_key: str) -> str:
        """Create a company with both ids as tags, and return its id."""
        body = self._company_body(customer_id, profile, {CREATION_TAG: creation_id})
        return self._send("POST", "companies", json=body, idempotency_key=idempotency_key).read(wire.CompanyId).id

    def update_company(
        self, company_id: str, customer_id: str, profile: Profile, existing_tags: Mapping[str, str]
    ) -> None:
        """Set the company's name, description and tags; its tags are replaced as a whole.

        Raises CodatNotFound, and TooManyTags if the existing tags leave too little room.
        """
        body = self._company_body(customer_id, profile, existing_tags)
        # PATCH ignores null.
        body["description"] = profile.description or ""
        path = ("companies", company_id)
        self._retry(lambda: self._send("PATCH", *path, json=body, idempotency_key=str(uuid4())).read(wire.Company))

    def restore_company(self, company_id: str, before: Mapping[str, Any]) -> None:
        """Set name, description and tags back to those before an adoption, as its lease has them."""
        tags = dict(before["tags"])
        if before.get("taggedCustomerId"):
            tags[self._tag_key] = before["taggedCustomerId"]
        body = {"name": before["name"], "description": before.get("description") or "", "tags": tags}
        self._retry(lambda: self._send("PUT", "companies", company_id, json=body).read(wire.Company))

    def delete_company(self, company_id: str) -> None:
        """Delete the company with its connections.

        Raises CodatNotFound if it is gone, also by an earlier attempt of this call whose answer was lost.

        The company is read afterwards, because a gateway can return 2xx too, and an empty body is no proof.
        """
        self._retry(lambda: self._send("DELETE", "companies", company_id))
        if self.has_company(company_id):
            raise CodatInvalidResponse("Codat still returns the company after its deletion.")

    def company(self, company_id: str) -> Company | None:
        """Return the company with its connections; None if Codat has none."""
        try:
            company, read_at = self._get(wire.Company, "companies", company_id)
        except CodatNotFound:
            return None
        return self._company(company, read_at)

    def has_company(self, company_id: str) -> bool:
        """Return whether Codat has the company; only its id is parsed."""
        try:
            self._get(wire.CompanyId, "companies", company_id)
        except CodatNotFound:
            return False
        return True

    def find_creation(self, customer_id: str, creation_id: str) -> list[str]:
        """Return the ids of the companies that have both tags, oldest first, those without a time last.

        Codat's filter may lag behind. Raises CodatInvalidResponse if a company can't be parsed, because it may be the
        requested one, and CodatRejectedCredentials if none is found under an untrusted key.
        """
        companies: list[tuple[str, str]] = []
        for entry, _ in self._entries("companies", tags=f"{CREATION_TAG}={creation_id}"):
            tagged = _parse(wire.TaggedCompany, entry)
            if tagged is None:
                raise CodatInvalidResponse(
                    "Codat returned a company that can't be parsed, and that this call may have created."
                )
            tags = tagged.tags or {}
            if (tags.get(self._tag_key), tags.get(CREATION_TAG)) == (customer_id, creation_id):
                company = _parse(wire.Company, entry)
                companies.append(((company and company.created) or _UNKNOWN_TIME, tagged.id))
        if not companies:
            self.require_trusted_key()
        return [company_id for _, company_id in sorted(companies)]

    def companies_of(self, customer_ids: Sequence[str]) -> list[Company]:
        """Return the companies that are tagged with one of these customer ids, with their connections.

        The order is that of `find_creation`. Companies that can't be parsed are left out. An empty list proves nothing:
        the filter lags behind, and the key may be untrusted. Pass at most one batch of `batches`.
        """
        if not all(map(customers.is_customer_id, customer_ids)):
            raise ValueError("not a customer id: it must not become part of a query")
        query = "||".join(f"{self._tag_key}={customer_id}" for customer_id in customer_ids)
        companies = self._parsed_companies(self._entries("companies", tags=query))
        tagged = [company for company in companies if company.tagged_customer_id in customer_ids]
        return sorted(tagged, key=lambda company: (company.created_at or _UNKNOWN_TIME, company.company_id))

    def companies(self, page: int) -> tuple[list[Company], int]:
        """Return a page of all companies at Codat with their connections, and the number of unparseable companies.

        Pages count from 1.
        """
        entries, _ = self._page("companies", page=page)
        companies = self._parsed_companies(entries)
        return companies, len(entries) - len(companies)

    def company_pages(self) -> int:
        """Return the number of pages of all companies at Codat, also of other apps."""
        _, total = self._page("companies", page=1, pageSize=1)
        return ceil(total / PAGE_SIZE)

    def batches(self, customer_ids: Iterable[str]) -> Iterator[list[str]]:
        """Split the ids into batches of one page of companies at most, whose query stays within Codat's limit."""
        batch: list[str] = []
        length = 0
        for customer_id in customer_ids:
            # The length in the URL: `=`, `|`, `@` and `:` take three characters each.
            term = len(quote(f"{self._tag_key}={customer_id}||", safe=""))
            if batch and (length + term > MAX_QUERY_CHARACTERS or len(batch) == PAGE_SIZE):
                yield batch
                batch, length = [], 0
            batch.append(customer_id)
            length += term
        if batch:
            yield batch

    def access_token(self, company_id: str) -> AccessToken:
        """Return a token for Codat's embedded Link component, valid for this company. Raises CodatNotFound."""
        token, _ = self._get(wire.AccessToken, "companies", company_id, "accessToken")
        return AccessToken(token.access_token, token.expires_in, token.token_type)

    # Connections

    def create_connection(self, company_id: str, platform_key: str, idempotency_key: str) -> StatusUpdate:
        """Send one request to create a connection, and return the connection with its link URL."""
        path = ("companies", company_id, "connections")
        response = self._send("POST", *path, json={"platformKey": platform_key}, idempotency_key=idempotency_key)
        created = response.read(wire.LinkableConnection)
        return created.update(company_id, stamp(response.changed_at, Precedence.OUR_CHANGE), created.link_url)

    def connection(self, company_id: str, connection_id: str) -> StatusUpdate:
        """Return the connection with a fresh link URL. Raises CodatNotFound."""
        path = ("companies", company_id, "connections", connection_id)
        connection, read_at = self._get(wire.LinkableConnection, *path)
        return connection.update(company_id, stamp(read_at, Precedence.READ), connection.link_url)

    def connections(self, company_id: str) -> tuple[list[StatusUpdate], list[Source]]:
        """Return a company's connections, and what can be read of the sources of unparseable ones.

        Codat's list may lag behind. Raises CodatNotFound.
        """
        updates, unparseable = [], []
        for entry, read_at in self._entries("companies", company_id, "connections"):
            connection = _parse(wire.DataConnection, entry)
            if connection is None:
                unparseable.append(wire.source_hint(entry))
            else:
                updates.append(connection.update(company_id, stamp(read_at, Precedence.READ)))
        return updates, unparseable

    def unlink(self, company_id: str, connection_id: str) -> StatusUpdate:
        """Unlink a Linked connection. Raises CodatRejected for another status, and CodatNotFound."""
        path = ("companies", company_id, "connections", connection_id)
        body = {"status": "Unlinked"}
        # Each attempt has its own idempotency key: under the first one, Codat would replay a 500.
        response = self._retry(lambda: self._send("PATCH", *path, json=body, idempotency_key=str(uuid4())))
        return response.read(wire.DataConnection).update(company_id, stamp(response.changed_at, Precedence.OUR_CHANGE))

    def delete_connection(self, company_id: str, connection_id: str) -> Timestamp:
        """Revoke and remove a connection, and return the time on Codat's clock. Raises as `delete_company`."""
        path = ("companies", company_id, "connections", connection_id)
        response = self._retry(lambda: self._send("DELETE", *path))
        try:
            self._get(wire.CompanyId, *path)
        except CodatNotFound:
            return response.changed_at
        raise CodatInvalidResponse("Codat still returns the connection after its deletion.")

    # Platforms

    def platforms(self) -> list[Platform]:
        """Return the platforms that are enabled in Codat's portal, without unparseable ones.

        Raises CodatInvalidResponse if none can be parsed.
        """
        self.require_trusted_key()  # another Codat client has other platforms
        entries = [entry for entry, _ in self._entries("integrations", query="enabled=true")]
        parsed = [integration for entry in entries if (integration := _parse(wire.Integration, entry)) is not None]
        if entries and not parsed:
            raise CodatInvalidResponse("Codat returned integrations that can't be parsed.")
        return [integration.platform() for integration in parsed if integration.enabled]

    # The API key

    def require_trusted_key(self, company_id: str | None = None) -> None:
        """Raise CodatRejectedCredentials unless the API key in use is trusted, or proves itself.

        A company of ours with this id is one of the proofs.
        """
        self._require_trust(self, company_id)

    def api_key_fingerprint(self) -> str:
        return api_key_fingerprint(self._transport.api_key)

    def listed_fingerprints(self) -> frozenset[str]:
        """Return the fingerprints of this Codat client's API keys; empty if the key may not list them.

        The response contains the keys themselves: it is neither logged nor stored.
        """
        try:
            entries = self._transport.send("GET", "apiKeys").read(wire.ApiKeys).results
        except CodatError as error:
            if error.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                return frozenset()
            raise
        parsed = (_parse(wire.ApiKey, entry) for entry in entries)
        return frozenset(api_key_fingerprint(entry.api_key) for entry in parsed if entry is not None)

    def can_read(self, company_id: str) -> bool:
        """Return whether Codat returns the company under the key in use, trusted or not."""
        try:
            # Not `_send`: its rule on 404 needs this result.
            response = self._retry(lambda: self._transport.send("GET", "companies", company_id).read(wire.Company))
        except CodatNotFound:
            return False
        return response.id == company_id

    # Requests

    def _send(self, method: str, *path: str, **options: Any) -> Response:
        company_id = path[1] if len(path) > 1 else None
        if method in {"POST", "DELETE"}:
            self.require_trusted_key(company_id)
        try:
            return self._transport.send(method, *path, **options)
        except CodatNotFound:
            self.require_trusted_key(company_id)
            raise

    def _retry(self, call: Callable[[], _T]) -> _T:
        return retrying(self.seconds_left)(call)

    def _get(self, model: type[wire.Model], *path: str, **params: Any) -> tuple[wire.Model, Timestamp]:
        """Return the document and the time of its read."""

        def read() -> tuple[wire.Model, Timestamp]:
            response = self._send("GET", *path, params=params)
            return response.read(model), response.read_at

        return self._retry(read)

    def _page(self, *path: str, **params: Any) -> tuple[list[tuple[Any, Timestamp]], int]:
        """Return the entries of a page, each with the time of its read, and the length of the whole list."""
        page, read_at = self._get(wire.Page, *path, **{"pageSize": PAGE_SIZE, **params})
        return [(entry, read_at) for entry in page.results], page.total_results

    def _entries(self, *path: str, **params: Any) -> list[tuple[Any, Timestamp]]:
        """Return the entries of all pages. A page may be shorter than requested."""
        entries: list[tuple[Any, Timestamp]] = []
        page = 0
        while True:
            page += 1
            page_entries, total = self._page(*path, page=page, **params)
            entries.extend(page_entries)
            if not page_entries or len(entries) >= total:
                return entries

    # Documents

    def _company_body(self, customer_id: str, profile: Profile, existing_tags: Mapping[str, str]) -> dict[str, Any]:
        tags = {**customers.merge_tags(profile, existing_tags), self._tag_key: customer_id}
        return {
            "name": customers.company_name(profile, customer_id),
            **({} if profile.description is None else {"description": profile.description}),
            # Sorted: a body that is sent again under its idempotency key must consist of the same bytes.
            "tags": dict(sorted(tags.items())),
        }

    def _parsed_companies(self, entries: Iterable[tuple[Any, Timestamp]]) -> list[Company]:
        parsed = ((_parse(wire.Company, entry), read_at) for entry, read_at in entries)
        return [self._company(company, read_at) for company, read_at in parsed if company is not None]

    def _company(self, company: wire.Company, at: Timestamp) -> Company:
        tags = dict(company.tags or {})
        entries = company.data_connections or []
        connections = [_parse(wire.DataConnection, entry) for entry in entries]
        updates = tuple(
            connection.update(company.id, stamp(at, Precedence.READ))
            for connection in connections
            if connection is not None
        )
        return Company(
            company_id=company.id,
            tagged_customer_id=customers.customer_id_from_tag(tags.pop(self._tag_key, None)),
            created_at=company.created or Timestamp(""),
            profile=Profile(company.name, company.description or None, tags),
            connections=updates,
            unparseable_connections=len(entries) - len(updates),
            link_url=company.redirect,
        )


def _parse(model: type[wire.Model], entry: Any) -> wire.Model | None:
    try:
        return model.model_validate(entry)
    except ValidationError:
        return None
