"""What each route does: an entry for each route of template.yaml, with its words, answers and problems."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pydantic import BaseModel

from contract import models
from shared.http.requests import ChangedCustomer, NewConnection, NewCustomer, NewInvitation

EVERY_ROUTE = ("invalid-query", "validation-error", "internal-error", "store-unavailable")
CODAT = (
    "codat-rate-limited",
    "codat-unavailable",
    "codat-rejected-credentials",
    "codat-rejected",
    "codat-account-limit",
    "codat-not-found",
    "secrets-unavailable",
)
"""Problems of every route that calls Codat."""
PUBLIC_PREFIX = "/connect/"
"""Pages for people: no part of the API."""


@dataclass(frozen=True)
class Answer:
    summary: str
    model: type[BaseModel] | None = None
    has_location: bool = False


@dataclass(frozen=True)
class Operation:
    id: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    body: type[BaseModel] | None = None
    is_body_required: bool = True
    example: Mapping[str, object] = field(default_factory=dict)
    """A body with which the call succeeds."""
    query: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Those of the route itself."""
    calls_codat: bool = True
    is_webhook: bool = False

    @property
    def common_problems(self) -> tuple[str, ...]:
        """Problems whose cause is outside of the route."""
        if self.is_webhook:
            return ("internal-error", "store-unavailable", "secrets-unavailable")
        malformed = ("malformed-json",) if self.body else ()
        return (*malformed, *EVERY_ROUTE, *(CODAT if self.calls_codat else ()))

    @property
    def all_problems(self) -> tuple[str, ...]:
        return (*self.problems, *self.common_problems)


_CUSTOMERS, _CONNECTIONS, _INVITATIONS = "Customers", "Connections", "Invitations"
_PLATFORMS, _WEBHOOKS = "Platforms", "Codat's webhooks"
_NOT_FOUND = ("customer-not-found",)
_NEITHER_FOUND = ("customer-not-found", "connection-not-found")
_IN_PROGRESS = ("creation-in-progress", "deletion-in-progress")
_LISTS = ("limit", "cursor")

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "POST /customers": Operation(
            "createCustomer",
            _CUSTOMERS,
            "Ensure the customer's Codat company",
            {
                201: Answer("The customer is new.", models.Customer, has_location=True),
                200: Answer("The customer was there already.", models.Customer, has_location=True),
            },
            "Creates the company at Codat, or with `companyId` adopts an existing one. One customer id ends with one "
            "company, however often the call is repeated. The same content again answers 200.",
            body=NewCustomer,
            example={"customerId": "acme", "name": "Acme Ltd"},
            problems=(
                *_NOT_FOUND,
                "customer-conflict",
                *_IN_PROGRESS,
                "company-taken",
                "company-unknown",
                "too-many-tags",
            ),
        ),
        "GET /customers": Operation(
            "listCustomers",
            _CUSTOMERS,
            "All customers, in pages",
            {200: Answer("A page of customers.", models.CustomerList)},
            "With `companyId`, the customer of that company, which Codat's return redirect names.",
            query=("companyId", *_LISTS),
            calls_codat=False,
        ),
        "GET /customers/{customerId}": Operation(
            "getCustomer",
            _CUSTOMERS,
            "The customer with its connections",
            {200: Answer("The customer.", models.Customer)},
            problems=_NOT_FOUND,
            calls_codat=False,
        ),
        "PATCH /customers/{customerId}": Operation(
            "changeCustomer",
            _CUSTOMERS,
            "Change name, description or tags, here and at Codat",
            {200: Answer("The changed customer.", models.Customer)},
            "Fields that are not sent stay as they are.",
            body=ChangedCustomer,
            example={"name": "Acme Group", "tags": {"plan": "pro"}},
            problems=(*_NOT_FOUND, "too-many-tags"),
        ),
        "DELETE /customers/{customerId}": Operation(
            "deleteCustomer",
            _CUSTOMERS,
            "Delete the company with its connections at Codat, and the customer",
            {204: Answer("The customer does not exist any more, also when repeated.")},
            problems=(*_NOT_FOUND, *_IN_PROGRESS),
        ),
        "POST /customers/{customerId}/link": Operation(
            "createCustomerLink",
            _CONNECTIONS,
            "A link to Codat's page where the customer picks the platform",
            {200: Answer("A fresh link.", models.Link)},
            problems=_NOT_FOUND,
        ),
        "POST /customers/{customerId}/access-token": Operation(
            "createAccessToken",
            _CONNECTIONS,
            "A token for Codat's embedded Link component",
            {200: Answer("A fresh token.", models.AccessToken)},
            problems=_NOT_FOUND,
        ),
        "POST /customers/{customerId}/connections": Operation(
            "createConnection",
            _CONNECTIONS,
            "Ensure a connection and a fresh link",
            {
                201: Answer("The connection is new.", models.ConnectionWithLink, has_location=True),
                200: Answer("A connection to the platform was reused.", models.ConnectionWithLink, has_location=True),
            },
            "Send the customer to `linkUrl`. A connection to the same platform is reused, with a fresh link.",
            body=NewConnection,
            example={"platformKey": "qhyg"},
            problems=(*_NOT_FOUND, "creation-in-progress", "accounting-connection-exists", "unknown-platform"),
        ),
        "GET /customers/{customerId}/connections": Operation(
            "listConnectionsOfCustomer",
            _CONNECTIONS,
            "The customer's connections, without deleted ones",
            {200: Answer("The connections.", models.ConnectionsOfCustomer)},
            problems=_NOT_FOUND,
            calls_codat=False,
        ),
        "GET /customers/{customerId}/connections/{connectionId}": Operation(
            "getConnection",
            _CONNECTIONS,
            "A connection, also a deleted one",
            {200: Answer("The connection.", models.Connection)},
            problems=_NEITHER_FOUND,
            calls_codat=False,
        ),
        "POST /customers/{customerId}/connections/{connectionId}/link": Operation(
            "createConnectionLink",
            _CONNECTIONS,
            "A fresh link to authorise or reconnect it",
            {200: Answer("A fresh link.", models.Link)},
            problems=(*_NEITHER_FOUND, "connection-deleted"),
        ),
        "POST /customers/{customerId}/connections/{connectionId}/unlink": Operation(
            "unlinkConnection",
            _CONNECTIONS,
            "Deauthorise it and keep its data",
            {200: Answer("The connection is unlinked, also when repeated.", models.Connection)},
            problems=(*_NEITHER_FOUND, "connection-not-linked", "connection-deleted"),
        ),
        "DELETE /customers/{customerId}/connections/{connectionId}": Operation(
            "deleteConnection",
            _CONNECTIONS,
            "Deauthorise it and remove it at Codat",
            {204: Answer("The connection does not exist any more, also when repeated.")},
            problems=_NEITHER_FOUND,
        ),
        "GET /customers/{customerId}/connections/{connectionId}/events": Operation(
            "listTimeline",
            _CONNECTIONS,
            "Its timeline, newest first, in pages",
            {200: Answer("A page of the timeline.", models.Timeline)},
            query=_LISTS,
            problems=_NEITHER_FOUND,
            calls_codat=False,
        ),
        "POST /customers/{customerId}/invitations": Operation(
            "createInvitation",
            _INVITATIONS,
            "A URL for somebody who is not in the app",
            {201: Answer("The invitation is new: each call makes another.", models.CreatedInvitation)},
            "Anyone with the URL can connect a platform to this customer.",
            body=NewInvitation,
            is_body_required=False,
            example={"platformKey": "qhyg", "expiresInDays": 14},
            problems=(*_NOT_FOUND, "too-many-invitations", "unknown-platform"),
        ),
        "GET /customers/{customerId}/invitations": Operation(
            "listInvitations",
            _INVITATIONS,
            "The customer's open invitations, without their URLs",
            {200: Answer("The invitations.", models.InvitationList)},
            problems=_NOT_FOUND,
            calls_codat=False,
        ),
        "DELETE /customers/{customerId}/invitations/{invitationId}": Operation(
            "revokeInvitation",
            _INVITATIONS,
            "Revoke it, at once",
            {204: Answer("The invitation is revoked, also when repeated.")},
            problems=(*_NOT_FOUND, "invitation-not-found"),
            calls_codat=False,
        ),
        "GET /connections": Operation(
            "listConnections",
            _CONNECTIONS,
            "Connections of all customers by status, or those that need a person",
            {200: Answer("A page of connections.", models.ConnectionList)},
            "Needs either `status` or `attention=true`.",
            query=("status", "attention", *_LISTS),
            calls_codat=False,
        ),
        "GET /platforms": Operation(
            "listPlatforms",
            _PLATFORMS,
            "The available platforms",
            {200: Answer("The platforms.", models.PlatformList)},
            "Those that are enabled in Codat's portal, restricted by the parameters `PlatformKeys`, `SourceTypes` and "
            "`AllowSandbox`. Codat is called only if the stored list is missing or older than a day.",
        ),
        "POST /webhooks/codat": Operation(
            "receiveWebhook",
            _WEBHOOKS,
            "Codat's signed events",
            {204: Answer("The event's effect is stored, or it concerns no customer of this deployment.")},
            "Only Codat calls it. The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` prove the "
            "sender, by the [Standard Webhooks](https://www.standardwebhooks.com) signature of the raw body.",
            problems=("not-authentic", "too-large"),
            is_webhook=True,
        ),
    }
)
"""By the route's key in template.yaml."""
