"""Simulate Codat's API in pure Python: no sockets, no threads, no clock or randomness of its own.

It is written from Codat's published contract alone (https://docs.codat.io/platform-api), as a second opinion beside the
simulated Codat. Whatever the contract leaves open is a field of `Choices`, which the caller sets for each request.
A request takes two steps, `arrive` and `perform`, so that time can pass in between.
"""

import base64
import json
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from random import Random
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

HISTORY = timedelta(minutes=10)  # the longest lag
IDEMPOTENCY_LIFETIME = timedelta(minutes=90)
MAX_API_KEYS = 10
MAX_API_KEY_NAME_LENGTH = 50
MAX_PAGE_SIZE = 5000
MAX_TAGS = 10
MAX_TAG_KEY_LENGTH = 27
MAX_TAG_VALUE_LENGTH = 100

READ_FAILURES = ("FetchError", "MapError", "InternalError", "ProcessingError", "AuthError", "RateLimitError")
DATA_TYPES: Mapping[str, tuple[str, ...]] = {
    "Accounting": ("chartOfAccounts", "suppliers", "bills", "billPayments"),
    "Banking": ("banking-accounts", "banking-transactions"),
    "Commerce": ("commerce-orders", "commerce-payments"),
}

_ALPHANUMERIC = string.ascii_letters + string.digits
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The whitespace is that of ECMAScript's \s, because the patterns of OpenAPI are ECMAScript's.
_FORBIDDEN_IN_NAME = re.compile(
    r"[^A-Za-z0-9\-',&@.?!\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]"
)
_ERRORS = {
    400: "Error processing request - not valid.",
    402: "You have exceeded the 50-company limit that applies to a Free plan.",
    403: "You are using an outdated API key or a key not associated with that resource.",
    429: "You have made too many requests in a given amount of time; please retry later.",
    500: "There is a problem with our server. Please try again later.",
    503: "The Codat API is temporarily offline for maintenance. Please try again later.",
}
_DOCUMENTED_STATUS_CODES = {402: 429, 503: 500}  # the contract's own examples contradict the HTTP status
_COMPANY_FIELDS = ("id", "name", "description", "redirect", "created", "lastSync")
_CONNECTION_FIELDS = ("id", "integrationKey", "sourceType", "platformName", "status", "created", "lastSync")
_INTEGRATION_FIELDS = ("key", "name", "enabled", "sourceType", "sourceId", "integrationId", "isOfflineConnector")

Json = dict[str, Any]
Kind = Literal["company", "connection"]
Distortion = Callable[[Kind, Json], Json]
Status = Literal["PendingAuth", "Linked", "Unlinked", "Deauthorized"]


@dataclass(frozen=True)
class HttpRequest:
    """Hold one request: a path without its query, header names in lower case."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class HttpResponse:
    """Hold one answer, with header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Choices:
    """Decide what the contract leaves open, for one request or for one event."""

    lag: timedelta = timedelta(0)  # lists and the tag filter show the state of this long ago; reads by id are current
    correlation_id: bool = True
    omit_error_details: bool = False  # error documents without canBeRetried and detailedErrorCode
    documented_status_codes: bool = False  # `statusCode` as in the contract's examples: 429 for a 402, 500 for a 503
    prefer_forbidden: bool = False  # 403 for a deleted API key (else 401) and another client's company (else 404)
    fresh_replay_headers: bool = False  # a replayed answer has its own Date and limits; the body is the same

    omit_integration_key: bool = False
    omit_last_sync: bool = False  # although it exists
    omit_event_tags: bool = False  # `referenceCompany` of events without tags
    omit_empty: bool = False  # empty arrays and tags are left out, `results` too
    nulls: bool = False  # nullable fields without a value are null, instead of left out
    no_description: Literal["blank", "null", "omitted"] = "blank"
    no_errors: Literal["omitted", "null", "empty"] = "omitted"  # `dataConnectionErrors` if there are none
    hide_resolved_errors: bool = False
    extra_fields: bool = False  # unknown fields, except in a connection: its schema is closed
    one_time_links: bool = False  # every rendering of a connection has a `linkUrl` of its own
    escape_unicode: bool = False
    time_digits: Literal[7, 3, 0] = 7
    time_zone: Literal["Z", "", "+00:00", "-05:00"] = "Z"  # "" is UTC too

    max_page_size: int = MAX_PAGE_SIZE  # a longer page is cut to this size, which the answer's `pageSize` repeats
    newest_first: bool = False  # if the request has no `orderBy`
    ignore_case: bool = False  # the query language compares values without regard to case
    ignore_empty_tags: bool = False  # PATCH with `tags: {}` keeps the tags
    announce_deleted_connections: bool = False  # deleting a company sends connection.deleted for each connection


@dataclass(frozen=True)
class Failure:
    """Replace the answer by an error document, after the work or instead of it."""

    status: int
    work_is_done: bool
    retry_after: int | None = None


@dataclass(frozen=True)
class Event:
    """Hold the body of one webhook, and the name of the client that it is for."""

    client: str
    body: Json


@dataclass(frozen=True)
class Platform:
    key: str
    name: str
    source_type: str
    enabled: bool = True
    offline: bool = False


PLATFORMS: Mapping[str, Platform] = {
    platform.key: platform
    for platform in (
        Platform("qhyg", "QuickBooks Online", "Accounting"),
        Platform("gbol", "Xero", "Accounting"),
        Platform("knfz", "Sage Intacct", "Accounting"),
        Platform("pqsw", "QuickBooks Desktop", "Accounting", offline=True),
        Platform("akxx", "Oracle NetSuite", "Accounting"),
        Platform("pdvj", "MYOB Business", "Accounting"),
        Platform("pbtz", "Wave", "Accounting", enabled=False),
        Platform("dfxm", "Basiq", "Banking"),
        Platform("bnkp", "Plaid", "Banking"),
        Platform("shpf", "Shopify", "Commerce"),
        Platform("zetl", "Zettle", "Commerce"),
    )
}


@dataclass(frozen=True)
class DataConnectionError:
    status_code: str
    text: str
    errored: datetime
    resolved: datetime | None = None


@dataclass(frozen=True)
class Connection:
    id: str
    platform_key: str
    platform_name: str
    source_type: str
    created: datetime
    status: Status = "PendingAuth"
    last_sync: datetime | None = None
    errors: tuple[DataConnectionError, ...] = ()
    was_linked: bool = False


@dataclass(frozen=True)
class Company:
    id: str
    name: str
    description: str | None
    tags: Mapping[str, str]
    created: datetime
    connections: Mapping[str, Connection] = field(default_factory=dict)


@dataclass(frozen=True)
class ApiKey:
    id: str
    name: str | None
    value: str
    created: datetime


@dataclass(frozen=True)
class State:
    """Hold all that a client has, since a moment and until the next state. API keys are found by their values."""

    since: datetime
    companies: Mapping[str, Company] = field(default_factory=dict)
    api_keys: Mapping[str, ApiKey] = field(default_factory=dict)


class Refusal(Exception):
    """Refuse a request with an error document."""

    def __init__(self, status: int, error: str = "", *, service: str = "PublicApi", status_code: int = 0) -> None:
        super().__init__(error)
        self.status, self.service = status, service
        self.error = error or _ERRORS.get(status) or HTTPStatus(status).phrase
        self.documented_status_code = status_code or _DOCUMENTED_STATUS_CODES.get(status, status)


Lookup = Callable[[str], str | None]
Predicate = Callable[[Lookup], bool]


def parse_query(text: str, fields: Sequence[str] | None = None, *, ignore_case: bool = False) -> Predicate:
    """Return the test that a query describes with `=`, `!=`, `~`, `&&`, `||` and `{}`.

    `&&` binds tighter than `||`. Whitespace around keys and values does not count.
    Raise ValueError if the query is malformed, and KeyError if it names a key outside `fields`.
    """
    tokens = [token for token in re.split(r"(&&|\|\||[{}])", text) if token.strip()]

    def joined(operator: str, operand: Callable[[], Predicate], combine: Callable[[Iterable[bool]], bool]) -> Predicate:
        parts = [operand()]
        while tokens[:1] == [operator]:
            tokens.pop(0)
            parts.append(operand())
        return lambda lookup: combine(part(lookup) for part in parts)

    def expression() -> Predicate:
        return joined("||", lambda: joined("&&", term, all), any)

    def term() -> Predicate:
        token = tokens.pop(0) if tokens else ""
        if token != "{":
            return _condition(token, fields, ignore_case=ignore_case)
        group = expression()
        if not tokens or tokens.pop(0) != "}":
            raise ValueError(text)
        return group

    try:
        predicate = expression()
    except RecursionError:
        raise ValueError(text) from None
    if tokens:
        raise ValueError(text)
    return predicate


def _condition(token: str, fields: Sequence[str] | None, *, ignore_case: bool) -> Predicate:
    parts = re.fullmatch(r"\s*([^=!~]*[^=!~\s])\s*(!=|=|~)\s*(.*\S)\s*", token, re.DOTALL)
    if parts is None:
        raise ValueError(token)
    fold = str.casefold if ignore_case else str
    key, operator, value = parts[1], parts[2], fold(parts[3])
    if fields is not None and key not in fields:
        raise KeyError(key)

    def test(lookup: Lookup) -> bool:
        actual = lookup(key)
        if operator == "~":
            return actual is not None and value in fold(actual)
        return (actual is not None and fold(actual) == value) == (operator == "=")

    return test


class Renderer:
    """Write the contract's documents according to the choices.

    With `distort`, companies and connections are as that returns them, which may break the contract.
    """

    def __init__(self, codat: "Codat", choices: Choices, distort: Distortion | None = None) -> None:
        self._codat, self._choices, self._distort = codat, choices, distort

    def time(self, moment: datetime) -> str:
        """Write a time, cut to the chosen digits."""
        zone = timezone(-timedelta(hours=5)) if self._choices.time_zone == "-05:00" else UTC
        digits = f"{moment.microsecond:06}{self._codat.seventh_digit}"[: self._choices.time_digits]
        text = moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")
        return text + (f".{digits}" if digits else "") + self._choices.time_zone

    def company(self, company: Company) -> Json:
        connections = [self.connection(connection, company.id) for connection in company.connections.values()]
        document = self.company_details(company) | self._collection("dataConnections", connections)
        return self._distort("company", document) if self._distort else document

    def company_details(self, company: Company) -> Json:
        last_sync = max((each.last_sync for each in company.connections.values() if each.last_sync), default=None)
        return self.extended(
            {"id": company.id, "name": company.name, "redirect": f"https://link.codat.io/company/{company.id}"}
            | {"created": self.time(company.created), "products": ["payables"]}
            | self._description(company)
            | self._last_sync(last_sync)
            | self._nullable("createdByUserName", None)
            | self._collection("tags", dict(company.tags))
            | self._nullable("referenceParentCompany", None)
            | self._collection("referenceSubsidiaryCompanies", [])
        )

    def reference(self, company: Company) -> Json:
        """Write `referenceCompany` of an event."""
        links = {"portal": f"https://app.codat.io/companies/{company.id}/summary"}
        tags = {} if self._choices.omit_event_tags else self._collection("tags", dict(company.tags))
        document = {"id": company.id, "name": company.name, "links": links}
        return self.extended(document | self._description(company) | tags)

    def connection(self, connection: Connection, company_id: str) -> Json:
        integration_id, source_id = self._codat.platform_ids[connection.platform_key]
        key = {} if self._choices.omit_integration_key else {"integrationKey": connection.platform_key}
        link = f"https://link-api.codat.io/companies/{company_id}/connections/{connection.id}/start"
        document = (
            {"id": connection.id, "integrationId": integration_id, "sourceId": source_id, "status": connection.status}
            | {"sourceType": connection.source_type, "platformName": connection.platform_name}
            | {"linkUrl": f"{link}?otp={self._codat.random_text(6)}" if self._choices.one_time_links else link}
            | {"created": self.time(connection.created)}
            | key
            | self._last_sync(connection.last_sync)
            | self._errors(connection)
            | self._nullable("connectionInfo", {"addedLater": [1]} if self._choices.extra_fields else None)
        )
        return self._distort("connection", document) if self._distort else document

    def connection_event(self, connection: Connection, company: Company) -> Json:
        document = {"referenceCompany": self.reference(company), "connection": self.connection(connection, company.id)}
        return self.extended(document)

    def integration(self, platform: Platform) -> Json:
        integration_id, source_id = self._codat.platform_ids[platform.key]
        return self.extended(
            {"key": platform.key, "name": platform.name, "enabled": platform.enabled, "isBeta": False}
            | {"logoUrl": f"https://static.codat.io/public/officialLogos/{integration_id}.png"}
            | {"integrationId": integration_id, "sourceId": source_id, "sourceType": platform.source_type}
            | {"isOfflineConnector": platform.offline}
            | self._collection("datatypeFeatures", [])
        )

    def api_key(self, key: ApiKey) -> Json:
        document = {"id": key.id, "apiKey": key.value, "createdDate": self.time(key.created)}
        return self.extended(document | self._nullable("name", key.name))

    def read_completed(self, company: Company, connection: Connection, statuses: Mapping[str, str]) -> Json:
        """Write the payload of read.completed.initial. The connection is that of before the read."""
        data_types = []
        for data_type, status in statuses.items():
            is_complete = status == "Complete"
            issues = [] if is_complete else [{"type": "error", "message": status, "links": {}}]
            data_types.append(
                self.extended(
                    {"connectionId": connection.id, "dataType": data_type, "status": status}
                    | {"recordsModified": is_complete}
                    | ({"issues": None} if is_complete and self._choices.nulls else self._collection("issues", issues))
                )
            )
        modified_from = self.time(connection.last_sync) if connection.last_sync else None
        return self.extended(
            {"referenceCompany": self.reference(company), "dataTypes": data_types}
            | self._nullable("modifiedFromDate", modified_from)
        )

    def error(self, refusal: Refusal) -> Json:
        documented = self._choices.documented_status_codes
        correlation_id = {"correlationId": f"{self._codat.random.getrandbits(128):032x}"}
        return self.extended(
            {"statusCode": refusal.documented_status_code if documented else refusal.status}
            | {"service": refusal.service, "error": refusal.error}
            | (correlation_id if self._choices.correlation_id else {})
            | self._nullable("validation", None)
            | ({} if self._choices.omit_error_details else {"canBeRetried": "Unknown", "detailedErrorCode": 0})
        )

    def page(self, results: list[Json], request: HttpRequest, *, number: int, size: int, total: int) -> Json:
        def link(page: int) -> dict[str, str]:
            return {"href": f"{request.path}?{urlencode({**request.query, 'page': page, 'pageSize': size})}"}

        links = {"self": {"href": request.path}, "current": link(number)}
        links |= {"previous": link(number - 1)} if number > 1 else {}
        links |= {"next": link(number + 1)} if number * size < total else {}
        document = {"pageNumber": number, "pageSize": size, "totalResults": total, "_links": links}
        return self.extended(self.results(results) | document)

    def results(self, results: list[Json]) -> Json:
        return self._collection("results", results)

    def extended(self, document: Json) -> Json:
        return document | ({"addedLater": {"list": [1, None]}} if self._choices.extra_fields else {})

    def _nullable(self, name: str, value: object) -> Json:
        return {name: value} if value is not None or self._choices.nulls else {}

    def _collection(self, name: str, value: Any) -> Json:
        return {name: value} if value or not self._choices.omit_empty else {}

    def _last_sync(self, moment: datetime | None) -> Json:
        return {} if self._choices.omit_last_sync else self._nullable("lastSync", moment and self.time(moment))

    def _description(self, company: Company) -> Json:
        if company.description is None and self._choices.no_description == "omitted":
            return {}
        blank = "" if self._choices.no_description == "blank" else None
        return {"description": blank if company.description is None else company.description}

    def _errors(self, connection: Connection) -> Json:
        errors = [
            {"statusCode": error.status_code, "statusText": error.text, "errorMessage": error.text}
            | {"erroredOnUtc": self.time(error.errored), "status": "Resolved" if error.resolved else "Active"}
            | self._nullable("resolvedOnUtc", error.resolved and self.time(error.resolved))
            for error in connection.errors
            if not (error.resolved and self._choices.hide_resolved_errors)
        ]
        if not errors and self._choices.no_errors == "omitted":
            return {}
        return {"dataConnectionErrors": errors or (None if self._choices.no_errors == "null" else [])}


@dataclass
class _IdempotencyEntry:
    """Record a request under its idempotency key. Without an answer it is still in progress."""

    request: tuple[str, str, bytes]
    response: HttpResponse | None = None
    answered: datetime | None = None


class Client:
    """Hold one Codat client, and let people act: in the portal, on Codat's pages, at the accounting platforms.

    An action returns False if it is impossible, for example because the connection was deleted.
    """

    def __init__(self, codat: "Codat", name: str) -> None:
        self.name = name
        self.deleted_api_keys: set[str] = set()
        self.idempotency: dict[str, _IdempotencyEntry] = {}
        self._codat = codat
        self._history = [State(codat.now())]

    @property
    def companies(self) -> dict[str, Company]:
        return dict(self._history[-1].companies)

    @property
    def api_keys(self) -> dict[str, ApiKey]:
        return dict(self._history[-1].api_keys)

    def state(self, lag: timedelta) -> State:
        """Return the state of `lag` ago."""
        if not lag:
            return self._history[-1]
        moment = self._codat.now() - lag
        return next((state for state in reversed(self._history) if state.since <= moment), self._history[0])

    def create_api_key(self, name: str | None = None) -> str:
        """Return the value of a new API key. Raise ValueError if the client has the maximum already."""
        if len(self.api_keys) >= MAX_API_KEYS:
            raise ValueError("Maximum number of API keys reached.")
        key = ApiKey(self._codat.new_id(), name, self._codat.random_text(40), self._codat.now())
        self._commit(api_keys=self.api_keys | {key.value: key})
        return key.value

    def delete_api_key(self, value: str) -> bool:
        if value not in self.api_keys:
            return False
        self.deleted_api_keys.add(value)
        self._commit(api_keys={other: key for other, key in self.api_keys.items() if other != value})
        return True

    def create_company_by_hand(self, name: str, tags: Mapping[str, str], choices: Choices | None = None) -> str:
        return self.add_company(name, None, tags, choices).id

    def add_company(
        self, name: str, description: str | None, tags: Mapping[str, str], choices: Choices | None
    ) -> Company:
        company = Company(self._codat.new_id(), name, description, dict(tags), self._codat.now())
        self.save(company)
        self._send("company.created", choices, partial(Renderer.company_details, company=company))
        return company

    def set_tags(self, company_id: str, tags: Mapping[str, str]) -> bool:
        if company := self.companies.get(company_id):
            self.save(replace(company, tags=dict(tags)))
        return company is not None

    def delete_company(self, company_id: str, choices: Choices | None = None) -> bool:
        company = self.companies.get(company_id)
        if company is None:
            return False
        self._commit(companies={other: kept for other, kept in self.companies.items() if other != company_id})
        if choices and choices.announce_deleted_connections:
            for connection in company.connections.values():
                self._send_connection("connection.deleted", choices, company, connection)
        self._send("company.deleted", choices, partial(Renderer.company_details, company=company))
        return True

    def create_connection_on_hosted_page(
        self, company_id: str, platform_key: str, choices: Choices | None = None
    ) -> str:
        """Return the id of a new connection. Raise KeyError if there is no such company or platform."""
        return self.add_connection(self.companies[company_id], PLATFORMS[platform_key], choices).id

    def add_connection(self, company: Company, platform: Platform, choices: Choices | None) -> Connection:
        source = (platform.key, platform.name, platform.source_type)
        connection = Connection(self._codat.new_id(), *source, self._codat.now())
        self._update(company, connection, "connection.created", choices)
        return connection

    def authorise(self, company_id: str, connection_id: str, choices: Choices | None = None) -> bool:
        """Link the connection. A company has at most one linked Accounting connection."""
        company, connection = self._find(company_id, connection_id, "PendingAuth", "Unlinked", "Deauthorized")
        if company is None or connection is None:
            return False
        linked_types = {each.source_type for each in company.connections.values() if each.status == "Linked"}
        if connection.source_type == "Accounting" and "Accounting" in linked_types:
            return False
        errors = tuple(replace(error, resolved=error.resolved or self._codat.now()) for error in connection.errors)
        event_type = "connection.reconnected" if connection.was_linked else "connection.connected"
        linked = replace(connection, status="Linked", was_linked=True, errors=errors)
        return self._update(company, linked, event_type, choices)

    def cancel(self, company_id: str, connection_id: str, choices: Choices | None = None) -> bool:
        """Leave the authorisation page: the status stays, and the connection has an error."""
        company, connection = self._find(company_id, connection_id, "PendingAuth", "Unlinked", "Deauthorized")
        failed = connection and self._with_error(connection, "403", "User cancelled linking")
        return self._update(company, failed, "connection.failed", choices)

    def revoke(self, company_id: str, connection_id: str, choices: Choices | None = None) -> bool:
        """Withdraw Codat's access at the platform."""
        company, connection = self._find(company_id, connection_id, "Linked")
        text = "The integration de-authorized access to the connection."
        revoked = connection and replace(self._with_error(connection, "401", text), status="Deauthorized")
        return self._update(company, revoked, "connection.disconnected", choices)

    def unlink(self, company_id: str, connection_id: str, choices: Choices | None = None) -> bool:
        company, connection = self._find(company_id, connection_id, "Linked")
        unlinked = connection and replace(connection, status="Unlinked")
        return self._update(company, unlinked, "connection.disconnected", choices)

    def delete_connection(self, company_id: str, connection_id: str, choices: Choices | None = None) -> bool:
        """Delete the connection. The event shows its last status."""
        company, connection = self._find(company_id, connection_id)
        if company is None or connection is None:
            return False
        others = {other: kept for other, kept in company.connections.items() if other != connection_id}
        self.save(replace(company, connections=others))
        self._send_connection("connection.deleted", choices, company, connection)
        return True

    def finish_initial_read(
        self, company_id: str, connection_id: str, failed: Sequence[str] = (), choices: Choices | None = None
    ) -> bool:
        """Finish the first read of a connection that was linked at some time. It may be linked no longer.

        `failed` names the data types of `DATA_TYPES` that could not be read. `lastSync` stays if all of them failed.
        """
        company, connection = self._find(company_id, connection_id)
        if company is None or connection is None or not connection.was_linked:
            return False
        statuses = {
            data_type: self._codat.random.choice(READ_FAILURES) if data_type in failed else "Complete"
            for data_type in DATA_TYPES[connection.source_type]
        }
        if "Complete" in statuses.values():
            self._update(company, replace(connection, last_sync=self._codat.now()))
        payload = partial(Renderer.read_completed, company=company, connection=connection, statuses=statuses)
        self._send("read.completed.initial", choices, payload)
        return True

    def sync(self, company_id: str, connection_id: str) -> bool:
        """Read a linked connection again. No event is sent."""
        company, connection = self._find(company_id, connection_id, "Linked")
        return self._update(company, connection and replace(connection, last_sync=self._codat.now()))

    def save(self, company: Company) -> None:
        self._commit(companies=self.companies | {company.id: company})

    def _find(self, company_id: str, connection_id: str, *statuses: Status) -> tuple[Company | None, Connection | None]:
        """Return the company and its connection, or None if the connection has none of these statuses."""
        company = self.companies.get(company_id)
        connection = company.connections.get(connection_id) if company else None
        return company, connection if connection and (not statuses or connection.status in statuses) else None

    def _with_error(self, connection: Connection, status_code: str, text: str) -> Connection:
        error = DataConnectionError(status_code, text, self._codat.now())
        return replace(connection, errors=(*connection.errors, error))

    def _update(
        self,
        company: Company | None,
        connection: Connection | None,
        event_type: str = "",
        choices: Choices | None = None,
    ) -> bool:
        if company is None or connection is None:
            return False
        self.save(replace(company, connections={**company.connections, connection.id: connection}))
        if event_type:
            self._send_connection(event_type, choices, company, connection)
        return True

    def _send_connection(
        self, event_type: str, choices: Choices | None, company: Company, connection: Connection
    ) -> None:
        self._send(event_type, choices, partial(Renderer.connection_event, connection=connection, company=company))

    def _send(self, event_type: str, choices: Choices | None, payload: Callable[[Renderer], Json]) -> None:
        renderer = Renderer(self._codat, choices or Choices())
        body: Json = {"id": self._codat.new_id(), "eventType": event_type}
        body |= {"generatedDate": renderer.time(self._codat.now()), "payload": payload(renderer)}
        self._codat.outbox.append(Event(self.name, renderer.extended(body)))

    def _commit(self, **changes: Any) -> None:
        now = self._codat.now()
        self._history.append(replace(self._history[-1], since=now, **changes))
        while self._history[1].since <= now - HISTORY:
            self._history.pop(0)


@dataclass
class Arrival:
    """Hold a request that arrived. `response` is None as long as its work is to be performed."""

    request: HttpRequest
    choices: Choices
    client: Client | None = None
    idempotency_key: str | None = None
    response: HttpResponse | None = None


class Codat:
    """Answer requests to the API. Events collect in `outbox`, in the order of the changes, until they are taken out.

    With `distort`, answers contain companies and connections as that returns them. Events are not affected.
    """

    def __init__(self, *, now: Callable[[], datetime], random: Random) -> None:
        self._now = now
        self.random = random
        self.outbox: list[Event] = []
        self.distort: Distortion | None = None
        self.seventh_digit = random.randrange(10)  # Codat's times have one digit more than Python's
        self.platform_ids = {key: (self.new_id(), self.new_id()) for key in PLATFORMS}
        self.clients: dict[str, Client] = {}

    def client(self, name: str) -> Client:
        """Return the client of that name. It is created on first use, without an API key."""
        if name not in self.clients:
            self.clients[name] = Client(self, name)
        return self.clients[name]

    def arrive(self, request: HttpRequest, choices: Choices | None = None) -> Arrival:
        """Authenticate the request and look its idempotency key up. If the key was used before, set the answer."""
        arrival = Arrival(request, replace(choices) if choices else Choices())
        if not timedelta(0) <= arrival.choices.lag <= HISTORY:
            raise ValueError(f"The longest lag is {HISTORY}.")
        try:
            arrival.client = self._authenticate(arrival)
            if request.method in ("POST", "PATCH") and "idempotency-key" in request.headers:
                self._register(arrival, arrival.client)
        except Refusal as refusal:
            arrival.response = self._refuse(refusal, arrival.choices)
        return arrival

    def perform(self, arrival: Arrival, failure: Failure | None = None) -> HttpResponse:
        """Do the work of the request, once. Return its answer, and store that under the idempotency key."""
        client, key = arrival.client, arrival.idempotency_key
        if arrival.response is not None:
            return arrival.response
        if client is None:
            raise ValueError("Only `arrive` makes arrivals.")
        if failure is None:
            response = self._work(arrival, client)
        else:
            if failure.work_is_done:
                self._work(arrival, client)
            response = self._refuse(Refusal(failure.status), arrival.choices, failure.retry_after)
        if key is not None and response.status == HTTPStatus.TOO_MANY_REQUESTS:
            del client.idempotency[key]
        elif key is not None:
            client.idempotency[key].response, client.idempotency[key].answered = response, self.now()
        arrival.response = response
        return response

    def now(self) -> datetime:
        return self._now().astimezone(UTC)

    def new_id(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def random_text(self, length: int) -> str:
        return "".join(self.random.choices(_ALPHANUMERIC, k=length))

    def _authenticate(self, arrival: Arrival) -> Client:
        scheme, _, encoded = arrival.request.headers.get("authorization", "").partition(" ")
        try:
            value = base64.b64decode(encoded.strip(), validate=True).decode()
        except ValueError:
            value = ""
        for client in self.clients.values():
            if value in client.api_keys and scheme.lower() == "basic":
                return client
            if value in client.deleted_api_keys and arrival.choices.prefer_forbidden:
                raise Refusal(403)
        raise Refusal(401)

    def _register(self, arrival: Arrival, client: Client) -> None:
        """Open an entry for the idempotency key, or replay the answer of the entry that is there.

        An entry without an answer stays in progress. An entry with an answer expires.
        """
        request, key = arrival.request, arrival.request.headers["idempotency-key"].strip().lower()
        if not _GUID.fullmatch(key):
            raise Refusal(400, "The idempotency key is not a GUID.")
        fingerprint = (request.method, request.path, request.body)
        entry = client.idempotency.get(key)
        if entry is None or (entry.answered and self.now() - entry.answered >= IDEMPOTENCY_LIFETIME):
            client.idempotency[key] = _IdempotencyEntry(fingerprint)
            arrival.idempotency_key = key
        elif entry.response is None:
            raise Refusal(409, "A request is in progress with the same idempotency key.")
        elif entry.request != fingerprint:
            raise Refusal(422, "The idempotency key was used with another request.")
        else:
            headers = self._headers() if arrival.choices.fresh_replay_headers else {}
            arrival.response = replace(entry.response, headers=entry.response.headers | headers)

    def _work(self, arrival: Arrival, client: Client) -> HttpResponse:
        try:
            status, document = Endpoints(self, client, arrival.request, arrival.choices).answer()
        except Refusal as refusal:
            return self._refuse(refusal, arrival.choices)
        if document is None:
            return HttpResponse(status, self._headers(), b"")
        return self._respond(status, document, arrival.choices)

    def _refuse(self, refusal: Refusal, choices: Choices, retry_after: int | None = None) -> HttpResponse:
        response = self._respond(refusal.status, Renderer(self, choices).error(refusal), choices)
        extra = {} if retry_after is None else {"retry-after": str(retry_after)}
        return replace(response, headers=response.headers | extra)

    def _respond(self, status: int, document: Json, choices: Choices) -> HttpResponse:
        body = json.dumps(document, ensure_ascii=choices.escape_unicode, separators=(",", ":")).encode()
        return HttpResponse(status, {"content-type": "application/json; charset=utf-8"} | self._headers(), body)

    def _headers(self) -> dict[str, str]:
        now = self.now()
        limits = {"x-rate-limit-limit": "100000", "x-rate-limit-remaining": "99999"}
        reset = (now + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
        return {"date": format_datetime(now, usegmt=True), **limits, "x-rate-limit-reset": reset}


Answer = tuple[int, Json | None]


class Endpoints:
    """Answer one authenticated request of a client."""

    def __init__(self, codat: Codat, client: Client, request: HttpRequest, choices: Choices) -> None:
        self._codat, self._client, self._request, self._choices = codat, client, request, choices
        self._renderer = Renderer(codat, choices, codat.distort)
        self._segments = request.path.removeprefix("/").split("/")

    def answer(self) -> Answer:
        routes: dict[tuple[str, str], Callable[[], Answer]] = {
            ("GET", "companies"): self._list_companies,
            ("POST", "companies"): self._create_company,
            ("GET", "companies/*"): lambda: (200, self._renderer.company(self._company())),
            ("PUT", "companies/*"): self._replace_company,
            ("PATCH", "companies/*"): self._update_company,
            ("DELETE", "companies/*"): self._delete_company,
            ("GET", "companies/*/accessToken"): self._access_token,
            ("GET", "companies/*/connections"): self._list_connections,
            ("POST", "companies/*/connections"): self._create_connection,
            ("GET", "companies/*/connections/*"): lambda: (200, self._render_connection()),
            ("PATCH", "companies/*/connections/*"): self._unlink_connection,
            ("DELETE", "companies/*/connections/*"): self._delete_connection,
            ("GET", "integrations"): self._list_integrations,
            ("GET", "profile"): lambda: (200, {"name": self._client.name, "redirectUrl": "https://example.com"}),
            ("GET", "apiKeys"): self._list_api_keys,
            ("POST", "apiKeys"): self._create_api_key,
            ("DELETE", "apiKeys/*"): self._delete_api_key,
        }
        template = "/".join("*" if index % 2 else segment for index, segment in enumerate(self._segments))
        route = routes.get((self._request.method, template))
        if route is None:
            raise Refusal(404)
        return route()

    def _list_companies(self) -> Answer:
        companies: Iterable[Company] = self._client.state(self._choices.lag).companies.values()
        if tags := self._request.query.get("tags"):
            matches = self._parse(tags)
            companies = [company for company in companies if matches(company.tags.get)]
        return self._page([partial(Renderer.company, company=company) for company in companies], _COMPANY_FIELDS)

    def _create_company(self) -> Answer:
        name, description, tags = self._company_fields()
        if name is None:
            raise Refusal(400)
        return 200, self._renderer.company(self._client.add_company(name, description, tags or {}, self._choices))

    def _replace_company(self) -> Answer:
        company, (name, description, tags) = self._company(), self._company_fields()
        if name is None:
            raise Refusal(400)
        return self._save(replace(company, name=name, description=description, tags=tags or {}))

    def _update_company(self) -> Answer:
        company, (name, description, tags) = self._company(), self._company_fields()
        if tags is not None and (tags or not self._choices.ignore_empty_tags):
            company = replace(company, tags=tags)
        description = company.description if description is None else description
        return self._save(replace(company, name=company.name if name is None else name, description=description))

    def _save(self, company: Company) -> Answer:
        self._client.save(company)
        return 200, self._renderer.company(company)

    def _delete_company(self) -> Answer:
        self._client.delete_company(self._company().id, self._choices)
        return 204, None

    def _access_token(self) -> Answer:
        self._company()
        token = {"accessToken": self._codat.random_text(64), "expiresIn": 86400, "tokenType": "Bearer"}
        return 200, self._renderer.extended(token)

    def _list_connections(self) -> Answer:
        company = self._company()
        past = self._client.state(self._choices.lag).companies.get(company.id)
        connections = past.connections.values() if past else ()
        rows = [partial(Renderer.connection, connection=each, company_id=company.id) for each in connections]
        return self._page(rows, _CONNECTION_FIELDS)

    def _create_connection(self) -> Answer:
        company, key = self._company(), self._json().get("platformKey")
        platform = PLATFORMS.get(key) if isinstance(key, str) else None
        if platform is None or not platform.enabled:
            raise Refusal(400, "The platform key is not that of an enabled integration.")
        connection = self._client.add_connection(company, platform, self._choices)
        return 200, self._renderer.connection(connection, company.id)

    def _unlink_connection(self) -> Answer:
        company, connection = self._connection()
        if self._json() != {"status": "Unlinked"}:
            raise Refusal(400, "A connection's status can be updated to Unlinked only.")
        if not self._client.unlink(company.id, connection.id, self._choices):
            raise Refusal(400, "Only a linked connection can be unlinked.")
        return 200, self._render_connection()

    def _delete_connection(self) -> Answer:
        company, connection = self._connection()
        self._client.delete_connection(company.id, connection.id, self._choices)
        return 200, None

    def _list_integrations(self) -> Answer:
        rows = [partial(Renderer.integration, platform=platform) for platform in PLATFORMS.values()]
        return self._page(rows, _INTEGRATION_FIELDS)

    def _list_api_keys(self) -> Answer:
        keys = self._client.state(self._choices.lag).api_keys.values()
        return 200, self._renderer.results([self._renderer.api_key(key) for key in keys])

    def _create_api_key(self) -> Answer:
        name = self._json().get("name") if self._request.body else None
        if name is not None and not isinstance(name, str):
            raise Refusal(400)
        if name is not None and len(name) > MAX_API_KEY_NAME_LENGTH:
            raise Refusal(400, f"Max string length ({MAX_API_KEY_NAME_LENGTH}) for `name` reached.")
        if len(self._client.api_keys) >= MAX_API_KEYS:
            error = "Maximum number of API keys reached. To create a new API key, delete an unused key and try again."
            raise Refusal(409, error, status_code=400)
        value = self._client.create_api_key(name)
        return 201, self._renderer.api_key(self._client.api_keys[value])

    def _delete_api_key(self) -> Answer:
        key_id = self._segments[1].lower()
        values = [key.value for key in self._client.api_keys.values() if key.id == key_id]
        if not values:
            raise Refusal(404, f"API key {key_id} not found")
        self._client.delete_api_key(values[0])
        return 204, None

    def _company(self) -> Company:
        """Return the company of the path, as it is now."""
        company_id = self._segments[1].lower()
        if company := self._client.companies.get(company_id):
            return company
        owners = [client for client in self._codat.clients.values() if company_id in client.companies]
        if owners and self._choices.prefer_forbidden:
            raise Refusal(403)
        raise Refusal(404, f"No company was found with ID {company_id}", service="ClientsApi")

    def _connection(self) -> tuple[Company, Connection]:
        company, connection_id = self._company(), self._segments[3].lower()
        if connection_id not in company.connections:
            raise Refusal(404, f"Data connection {connection_id} not found")
        return company, company.connections[connection_id]

    def _render_connection(self) -> Json:
        company, connection = self._connection()
        return self._renderer.connection(connection, company.id)

    def _json(self) -> Json:
        def refuse_constant(name: str) -> None:
            raise ValueError(name)

        try:
            document = json.loads(self._request.body.decode(), parse_constant=refuse_constant)
            json.dumps(document, ensure_ascii=False).encode()  # half of a surrogate pair has no encoding
        except (ValueError, RecursionError):
            raise Refusal(400) from None
        if not isinstance(document, dict):
            raise Refusal(400)
        return document

    def _company_fields(self) -> tuple[str | None, str | None, dict[str, str] | None]:
        """Return name, description and tags of the body, each None if it is null or missing."""
        document = self._json()
        name, description, tags = document.get("name"), document.get("description"), document.get("tags")
        if name is not None:
            name = _FORBIDDEN_IN_NAME.sub("", name) if isinstance(name, str) else ""
        if name == "" or not isinstance(description, str | None):
            raise Refusal(400)
        if not isinstance(tags, dict | None) or len(tags or {}) > MAX_TAGS:
            raise Refusal(400, f"Tags are an object with at most {MAX_TAGS} keys.")
        for key, value in (tags or {}).items():
            if not re.fullmatch(rf".{{1,{MAX_TAG_KEY_LENGTH}}}", key):
                raise Refusal(400, f"A tag's key has between 1 and {MAX_TAG_KEY_LENGTH} characters.")
            if not isinstance(value, str) or len(value) > MAX_TAG_VALUE_LENGTH:
                raise Refusal(400, f"A tag's value has at most {MAX_TAG_VALUE_LENGTH} characters.")
        return name, description, tags

    def _parse(self, text: str, fields: Sequence[str] | None = None) -> Predicate:
        try:
            return parse_query(text, fields, ignore_case=self._choices.ignore_case)
        except KeyError as unknown:
            error = f"Error parsing query - Could not resolve property {unknown.args[0]}"
        except ValueError:
            error = "Error parsing query - Malformed query."
        raise Refusal(400, error, service="ClientsApi")

    def _page(self, rows: list[partial[Json]], fields: Sequence[str]) -> Answer:
        """Filter, order and cut a list. `fields` are those that `query` and `orderBy` may name."""
        query, plain = self._request.query, Renderer(self._codat, Choices())
        if text := query.get("query"):
            matches = self._parse(text, fields)
            rows = [row for row in rows if matches(partial(_field, row(plain)))]
        if order_by := query.get("orderBy"):
            name = order_by.removeprefix("-")
            if name not in fields:
                raise Refusal(400, f"Error parsing query - Could not resolve property {name}", service="ClientsApi")
            rows.sort(key=lambda row: _field(row(plain), name) or "", reverse=order_by.startswith("-"))
        elif self._choices.newest_first:
            rows.reverse()
        number = self._positive("page", 1, 2**31 - 1)
        size = min(self._positive("pageSize", 100, MAX_PAGE_SIZE), self._choices.max_page_size)
        results = [row(self._renderer) for row in rows[(number - 1) * size : number * size]]
        return 200, self._renderer.page(results, self._request, number=number, size=size, total=len(rows))

    def _positive(self, name: str, default: int, maximum: int) -> int:
        text = self._request.query.get(name, str(default))
        if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) <= maximum:
            raise Refusal(400, f"{name} is not a number between 1 and {maximum}.")
        return int(text)


def _field(document: Json, name: str) -> str | None:
    """Return a field of a document as it is written in a query."""
    value = document.get(name)
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
