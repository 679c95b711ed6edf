"""Codat's API in the terms of the domain.

Two rules hold for all requests, except for those that prove an API key (`listed_fingerprints`, `can_read`). An
untrusted API key neither creates nor deletes. And a 404 about a company counts only under a trusted key, because
another Codat client's key can't read our companies.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from math import ceil
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from shared.codat import wire
from shared.codat.transport import Response, Transport, api_key_fingerprint
from shared.domain import customers
from shared.domain.connections import ConnectionList, Precedence, StatusUpdate, stamp
from shared.domain.customers import CREATION_TAG, AccessToken, Company, Profile, Quota
from shared.domain.errors import CodatError, CodatInvalidResponse, CodatNotFound
from shared.domain.platforms import Platform
from shared.domain.timestamps import Timestamp
from shared.retrying import retrying

_UNKNOWN_TIME = "~"
"""Sorts after all times."""
PAGE_SIZE = 100
MAX_QUERY_CHARACTERS = 2_000
"""Codat allows 2,048."""


class Codat:
    """Codat within one invocation. Each request but a creation is repeated after retryable errors if there is time.

    Requests raise the CodatErrors of `shared.domain.errors`, SecretsUnavailable, and StoreUnavailable if the trust of
    the API key has to be read from the table.
    """

    def __init__(
        self, transport: Transport, *, tag_key: str, require_trust: Callable[["Codat", str | None], None]
    ) -> None:
        """`require_trust` is `ApiKeyTrust.require`."""
        self._transport = transport
        self._tag_key = tag_key
        self._require_trust = require_trust
        self.seconds_left = transport.seconds_left
        """Seconds left for requests to Codat: the caller's, without those reserved for storing the results."""
        self._retry = retrying(self.seconds_left)

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
        self._request(wire.Company, "PATCH", "companies", company_id, json=body)

    def restore_company(self, company_id: str, before: Mapping[str, Any]) -> None:
        """Set name, description and tags back to those before an adoption, as its lease or the pointer has them."""
        tags = dict(before["tags"])
        if before.get("taggedCustomerId"):
            tags[self._tag_key] = before["taggedCustomerId"]
        body = {"name": before["name"], "description": before.get("description") or "", "tags": tags}
        self._request(wire.Company, "PUT", "companies", company_id, json=body)

    def delete_company(self, company_id: str) -> None:
        """Delete the company with its connections.

        Raises CodatNotFound if it doesn't exist, also after an earlier attempt of this call whose answer was lost.

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
        return self._exists("companies", company_id)

    def find_creation(self, customer_id: str, creation_id: str) -> list[str]:
        """Return the ids of the companies that have both tags, oldest first; those without a time come last.

        Codat's filter may lag behind. Raises CodatInvalidResponse if a company can't be parsed, because it may be the
        requested one, and CodatRejectedCredentials if none is found under an untrusted key.
        """
        entries, _ = self._entries("companies", tags=f"{CREATION_TAG}={creation_id}")
        tagged = _parsed(wire.TaggedCompany, entries)
        if len(tagged) < len(entries):
            raise CodatInvalidResponse(
                "Codat returned a company that can't be parsed, and that this call may have created."
            )
        tags = {self._tag_key: customer_id, CREATION_TAG: creation_id}
        found = [company.id for company in tagged if tags.items() <= (company.tags or {}).items()]
        if not found:
            self.require_trusted_key()
        created = {company.id: company.created for company in _parsed(wire.Company, entries)}
        return sorted(found, key=lambda company_id: (created.get(company_id) or _UNKNOWN_TIME, company_id))

    def companies_of(self, customer_ids: Sequence[str]) -> list[Company]:
        """Return the companies that are tagged with one of these customer ids, with their connections.

        The order is that of `find_creation`. Companies that can't be parsed are left out. An empty list proves nothing:
        the filter lags behind, and the key may be untrusted. Pass one list of `batches`.
        """
        query = "||".join(f"{self._tag_key}={customer_id}" for customer_id in customer_ids)
        companies = self._companies(*self._entries("companies", tags=query))
        return [company for company in companies if company.tagged_customer_id in customer_ids]

    def companies(self, page: int) -> tuple[list[Company], int]:
        """Return a page of all companies at Codat with their connections, and the number of unparseable companies.

        Pages count from 1.
        """
        document, read_at = self._page(page, "companies")
        companies = self._companies(document.results, read_at)
        return companies, len(document.results) - len(companies)

    def company_pages(self) -> int:
        """Return the number of pages of all companies at Codat, also of other apps. Codat may reduce the page size."""
        page, _ = self._page(1, "companies")
        return ceil(page.total_results / (page.page_size or PAGE_SIZE))

    def batches(self, customer_ids: Iterable[str]) -> Iterator[list[str]]:
        """Split the ids into lists of at most PAGE_SIZE, whose query stays within Codat's limit."""
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

    def connections(self, company_id: str) -> ConnectionList:
        """Return a company's connections. Codat's list may lag behind. Raises CodatNotFound."""
        entries, read_at = self._entries("companies", company_id, "connections")
        updates, unparseable = [], []
        for entry in entries:
            try:
                connection = wire.DataConnection.model_validate(entry)
            except ValidationError:
                unparseable.append(wire.identity_of(entry))
            else:
                updates.append(connection.update(company_id, stamp(read_at, Precedence.READ)))
        return ConnectionList(updates, unparseable)

    def unlink(self, company_id: str, connection_id: str) -> StatusUpdate:
        """Unlink a Linked connection. Raises CodatRejected for another status, and CodatNotFound."""
        path = ("companies", company_id, "connections", connection_id)
        response = self._retry(lambda: self._send("PATCH", *path, json={"status": "Unlinked"}))
        # Not repeated if the answer is invalid: meanwhile, the customer may have linked it again.
        return response.read(wire.DataConnection).update(company_id, stamp(response.changed_at, Precedence.OUR_CHANGE))

    def delete_connection(self, company_id: str, connection_id: str) -> Timestamp:
        """Revoke and remove a connection, and return the time on Codat's clock. Raises as `delete_company`."""
        path = ("companies", company_id, "connections", connection_id)
        response = self._retry(lambda: self._send("DELETE", *path))
        if self._exists(*path):
            raise CodatInvalidResponse("Codat still returns the connection after its deletion.")
        return response.changed_at

    # Platforms

    def platforms(self) -> tuple[list[Platform], int]:
        """Return the platforms that are enabled in Codat's portal, and the number of unparseable ones.

        Raises CodatInvalidResponse if none can be parsed.
        """
        self.require_trusted_key()  # another Codat client has other platforms
        entries, _ = self._entries("integrations", query="enabled=true")
        parsed = _parsed(wire.Integration, entries)
        if entries and not parsed:
            raise CodatInvalidResponse("Codat returned integrations that can't be parsed.")
        enabled = {integration.key: integration.platform() for integration in parsed if integration.enabled}
        return list(enabled.values()), len(entries) - len(parsed)

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
            listed = self._transport.send("GET", "apiKeys").read(wire.ApiKeys)
        except CodatError as error:
            if error.is_answer and error.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                return frozenset()
            raise
        return frozenset(api_key_fingerprint(entry.api_key) for entry in _parsed(wire.ApiKey, listed.results))

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
            if company_id is not None:
                self.require_trusted_key(company_id)
            raise

    def _request(self, model: type[wire.Model], method: str, *path: str, **options: Any) -> tuple[wire.Model, Response]:
        """Send a request that may be repeated, and return its document and the response."""

        def attempt() -> tuple[wire.Model, Response]:
            response = self._send(method, *path, **options)
            return response.read(model), response

        return self._retry(attempt)

    def _get(self, model: type[wire.Model], *path: str, **params: Any) -> tuple[wire.Model, Timestamp]:
        """Return the document and the time of its read."""
        document, response = self._request(model, "GET", *path, params=params)
        return document, response.read_at

    def _exists(self, *path: str) -> bool:
        """Return whether Codat has the company or connection; only its id is parsed."""
        try:
            self._get(wire.CompanyId, *path)
        except CodatNotFound:
            return False
        return True

    def _page(self, number: int, *path: str, **params: Any) -> tuple[wire.Page, Timestamp]:
        return self._get(wire.Page, *path, page=number, pageSize=PAGE_SIZE, **params)

    def _entries(self, *path: str, **params: Any) -> tuple[list[Any], Timestamp]:
        """Return the entries of all pages, and the time of the first read. A page may be shorter than requested.

        Raises CodatInvalidResponse if a page is empty before the list is complete.
        """
        number = 1
        page, read_at = self._page(number, *path, **params)
        entries = page.results
        while len(entries) < page.total_results:
            if not page.results:
                raise CodatInvalidResponse("Codat returned an empty page of a list that is not complete.")
            number += 1
            page, _ = self._page(number, *path, **params)
            entries = entries + page.results
        return entries, read_at

    # Documents

    def _company_body(self, customer_id: str, profile: Profile, existing_tags: Mapping[str, str]) -> dict[str, Any]:
        tags = {**customers.merge_tags(profile, existing_tags), self._tag_key: customer_id}
        return {
            "name": customers.company_name(profile, customer_id),
            **({} if profile.description is None else {"description": profile.description}),
            # Sorted: a body that is sent again under its idempotency key must consist of the same bytes.
            "tags": dict(sorted(tags.items())),
        }

    def _companies(self, entries: Iterable[Any], read_at: Timestamp) -> list[Company]:
        """Return the companies that can be parsed, oldest first; those without a time come last."""
        parsed = _parsed(wire.Company, entries)
        parsed.sort(key=lambda company: (company.created or _UNKNOWN_TIME, company.id))
        return [self._company(company, read_at) for company in parsed]

    def _company(self, company: wire.Company, read_at: Timestamp) -> Company:
        tags = dict(company.tags or {})
        entries = company.data_connections or []
        connections = _parsed(wire.DataConnection, entries)
        stamped = stamp(read_at, Precedence.READ)
        return Company(
            company_id=company.id,
            tagged_customer_id=customers.customer_id_from_tag(tags.pop(self._tag_key, None)),
            profile=Profile(company.name, company.description or None, tags),
            connections=tuple(connection.update(company.id, stamped) for connection in connections),
            unparseable_connections=len(entries) - len(connections),
            link_url=company.redirect,
        )


def _parsed(model: type[wire.Model], entries: Iterable[Any]) -> list[wire.Model]:
    """Return the entries that can be parsed."""
    parsed = []
    for entry in entries:
        with suppress(ValidationError):
            parsed.append(model.model_validate(entry))
    return parsed
