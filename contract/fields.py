"""What each field means, with an example: one entry for a name, because one name means one thing.

A field of one model that differs has an entry `Model.field`.
"""

from collections.abc import Sequence
from typing import Any

COMPANY, CONNECTION = "aab52830-14f4-42cd-9719-ef209b142400", "157f24c8-3468-48f3-b2bc-e3335f3fb3e1"
VERSION = 1795382561612

Field = tuple[str, Any]

FIELDS: dict[str, Field] = {
    "customerId": ("Your own id of the customer.", "acme"),
    "companyId": ("Codat's id of the customer's company.", COMPANY),
    "NewCustomer.companyId": (
        "The id of an existing company at Codat, to adopt it. Without it, or with null, a company is created.",
        COMPANY,
    ),
    "name": ("The customer's name, also that of its company at Codat. Printable characters only.", "Acme Ltd"),
    "description": ("A text of your own, also stored at Codat. Null for none; an empty text becomes null.", None),
    "tags": (
        (
            "Tags of your own, also stored at Codat. The service adds `uid`, or the key of `CodatTagKey`, and "
            "`creationId`, so these keys are reserved."
        ),
        {"plan": "pro"},
    ),
    "ChangedCustomer.tags": (
        "Replaces all tags. The keys `uid` (or `CodatTagKey`) and `creationId` are reserved.",
        {"plan": "pro"},
    ),
    "createdAt": ("When it was created, on Codat's clock for a connection.", "2026-11-26T21:22:28.0000000Z"),
    "updatedAt": ("When the stored state last changed, on the service's clock.", "2026-11-26T21:22:41.6120000Z"),
    "connections": ("The connections, without deleted ones.", None),
    "ConnectionList.connections": ("The connections of this page.", None),
    "connectionId": ("Codat's id of the connection.", CONNECTION),
    "platformKey": ("Codat's key of the platform: four letters. Empty until Codat reports it.", "qhyg"),
    "NewConnection.platformKey": ("The key of an available platform, from `GET /platforms`.", "qhyg"),
    "platformName": ("Codat's name of the platform.", "QuickBooks Online"),
    "sourceType": (
        (
            "The kind of the platform: Accounting, Banking, BankFeed, Commerce, Expense, Other or Unknown. A customer "
            "has one linked Accounting platform at a time."
        ),
        "Accounting",
    ),
    "status": ("The connection's status.", "Linked"),
    "InitialReadIssue.status": ("Codat's status of the read.", "FetchError"),
    "TimelineEntry.status": ("The status after it.", "Linked"),
    "nextAction": ("What the app does next.", "none"),
    "error": (
        (
            "Why the connection does not work, in words for a person. Null if nothing is wrong. It may name a person: "
            "keep it out of logs."
        ),
        None,
    ),
    "TimelineEntry.error": ("What the platform or Codat reported. It may name a person: keep it out of logs.", None),
    "lastSync": ("When Codat last read data from the platform. Null before the first time.", None),
    "linkedAt": (
        "When the connection last became Linked, on Codat's clock. Null before the first time.",
        "2026-11-26T21:22:41.5950130Z",
    ),
    "initialReadAt": (
        (
            "When the first read of all data after `linkedAt` was complete: from then on the app can use the data. "
            "Null until then, and if a data type failed."
        ),
        None,
    ),
    "initialReadIssues": ("The data types that could not be read after `linkedAt`.", []),
    "dataType": ("Codat's name of the data type.", "invoices"),
    "asOf": (
        "The time of the newest report that decides status and error, on Codat's clock: how fresh the state is.",
        "2026-11-26T21:22:41.5950130Z",
    ),
    "linkUrl": (
        "The page where the customer authorises. A credential: it works once and expires after a day.",
        "https://link.codat.io/company/aab52830",
    ),
    "issuedAt": ("When the link was issued, on the service's clock.", "2026-11-26T21:22:28.3457510Z"),
    "accessToken": ("A credential for the component, for this company only.", "eyJhbGciOi…"),
    "expiresIn": ("Seconds until the token expires.", 86400),
    "tokenType": ("How the token is used.", "Bearer"),
    "logoUrl": ("The platform's logo. Empty if Codat has none.", "https://static.codat.io/public/officialLogos/…"),
    "needsConnector": (
        "Whether the platform runs on the customer's computer, so that the customer also installs a connector.",
        False,
    ),
    "beta": ("Whether Codat's integration is in beta.", False),
    "invitationId": ("The id of the invitation.", "9e107d9d-372b-4ef3-a9a2-2f8f3a7b4c1d"),
    "Invitation.platformKey": ("The platform to connect. Null if the person chooses.", "qhyg"),
    "NewInvitation.platformKey": (
        "The key of an available platform. Without it, or with null, the person chooses among the available platforms.",
        "qhyg",
    ),
    "expiresInDays": ("Days until the invitation expires: 7 by default.", 14),
    "expiresAt": ("When the invitation expires, on the service's clock.", "2026-12-10T21:22:30.1204460Z"),
    "url": (
        "The page to send to the person who authorises. A credential until it expires or is revoked.",
        "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/connect/…",
    ),
    "invitations": ("The open invitations, oldest first.", None),
    "platforms": ("The available platforms.", None),
    "customers": ("The customers of this page. A page before the last can be short or empty.", None),
    "cursor": ("The `cursor` of the next page. Null on the last page.", "WyJDVVNUT01FUlMjMTUiXQ"),
    "events": ("The entries of this page, newest first.", None),
    "eventId": (
        "The id and the version of what changed; the same when the event is delivered again.",
        f"{CONNECTION}:{VERSION}",
    ),
    "TimelineEntry.eventId": ("The id of the entry.", "26e6fbce-9415-4830-9341-12a1b06b73ca"),
    "CustomerChanged.eventId": (
        "The id and the version of what changed; the same when the event is delivered again.",
        f"acme:{VERSION}",
    ),
    "eventType": (
        (
            "Codat's event type, such as `connection.connected`; or the change by a caller: `created`, `unlinked`, "
            "`deleted`; or what the service read at Codat: `found`, `read`, `adopted`."
        ),
        "connection.connected",
    ),
    "at": ("When it happened, on Codat's clock.", "2026-11-26T21:22:48.0017380Z"),
    "actor": (
        "Who caused it: a caller of the API, the person who followed an invitation, a webhook of Codat, or reconcile.",
        "webhook",
    ),
    "actorId": (
        "The ARN of the caller, or the id of the invitation or the webhook. Null for reconcile.",
        "msg_2mVoQf",
    ),
    "webhookId": (
        "The webhook's id, as Codat's portal shows it. Null unless a webhook caused it.",
        "msg_2mVoQf",
    ),
    "previousStatus": ("The status before. Null if the connection was new.", "PendingAuth"),
    "applied": ("Whether it decided the state. False if it came late, after something newer.", True),
    "message": ("API Gateway's error message.", "Forbidden"),
    "type": ("The problem's type, which is stable. Each type has a page in `docs/problems/`.", None),
    "title": ("The problem in a few words.", None),
    "Problem.status": ("The HTTP status.", None),
    "detail": ("What is wrong and what to change. Its words may change.", None),
    "FieldError.detail": ("What to change.", "must be a whole number from 1 to 100"),
    "requestId": ("The id of the request, which is also in the logs.", "JKJaXmPLvHcESHA="),
    "errors": ("The fields or parameters to correct, at most 20.", None),
    "field": (
        "The name of the field or query parameter, with dots between levels; `body` for the body itself.",
        "limit",
    ),
    "correlationId": ("Codat's id of its error, for Codat's support. Missing if Codat sent none.", "4bb8e1a7c0f9d2e3"),
    "version": ("Ignore an event whose version is not above the one you have. It grows, with gaps.", VERSION),
}


class UndocumentedField(Exception):
    """A field has no entry in `FIELDS`."""


def field(models: Sequence[str], name: str) -> Field:
    """Return description and example of a field of the first model; the others are its bases.

    Raises UndocumentedField.
    """
    for key in (*(f"{model}.{name}" for model in models), name):
        if key in FIELDS:
            return FIELDS[key]
    raise UndocumentedField(
        f"The field {name} of {models[0]} has no description: add it to FIELDS in contract/fields.py."
    )
