"""Each problem type: when it occurs, what the caller does, and an example, which the service's own errors make."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from contract.fields import COMPANY, CONNECTION
from shared.domain import errors
from shared.domain.invitations import MAX_OPEN
from shared.http.problems import (
    INTERNAL,
    INVALID,
    KINDS,
    MALFORMED_JSON,
    TOO_LARGE,
    Problem,
    problem_of,
)

REQUEST_ID = "JKJaXmPLvHcESHA="
PLATFORMS = {"gbol": "Xero", "qhyg": "QuickBooks Online"}


@dataclass(frozen=True)
class Documented:
    when: str
    to_do: str
    example: Problem
    may_have_retry_after: bool = False
    """The example has none, but Codat may send one, which is passed on."""

    @property
    def name(self) -> str:
        return self.example.kind.type

    @property
    def statuses(self) -> list[int]:
        return sorted({kind.status for kind in _kinds() if kind.type == self.name})

    @property
    def has_retry_after(self) -> bool:
        return self.example.retry_after is not None or self.may_have_retry_after

    def example_document(self) -> dict[str, Any]:
        return self.example.document(REQUEST_ID)


def _of(error: errors.CodatCustomersError, when: str, to_do: str) -> Documented:
    return Documented(when, to_do, problem_of(error))


def _codat(
    kind: type[errors.CodatError], message: str, when: str, to_do: str, retry_after: int | None = None
) -> Documented:
    error = kind(message, correlation_id="4bb8e1a7c0f9d2e3")
    error.retry_after = retry_after
    return replace(_of(error, when, to_do), may_have_retry_after=kind is errors.CodatUnavailable)


def _invalid(field: str, detail: str) -> Problem:
    return Problem(INVALID, f"{field}: {detail}", extensions={"errors": [{"field": field, "detail": detail}]})


_ALL = [
    Documented(
        "The body is not a JSON object.",
        "Send a JSON object, as UTF-8.",
        Problem(MALFORMED_JSON, "The body must be a JSON object. Invalid JSON: EOF while parsing an object."),
    ),
    _of(
        errors.InvalidQuery("limit", "must be a whole number from 1 to 100"),
        "A query parameter has a wrong value, or the route has no such parameter. A cursor belongs to its list.",
        "Correct the parameter in `errors`. If it is the cursor, start without one.",
    ),
    _of(
        errors.NotAuthentic("mismatch"),
        "For webhooks only: the signature is missing, wrong or too old, or the address may not send webhooks.",
        "See [operations](operations.md#not-authentic). An app does not get this problem.",
    ),
    _of(
        errors.CustomerNotFound("acme"),
        "There is no customer of this id, or its company was deleted at Codat.",
        "Create the customer with `POST /customers`. If its company was deleted at Codat, delete the customer first.",
    ),
    _of(
        errors.ConnectionNotFound("acme", CONNECTION),
        "The customer has no connection of this id.",
        "Use an id from `GET /customers/{customerId}/connections`.",
    ),
    _of(
        errors.InvitationNotFound("acme", "9e107d9d-372b-4ef3-a9a2-2f8f3a7b4c1d"),
        "The customer has no invitation of this id. Invitations are kept for 30 days after their expiry time.",
        "Use an id from `GET /customers/{customerId}/invitations`.",
    ),
    _of(
        errors.CustomerConflict("acme", ["name"]),
        "The id exists with another profile or company. Nothing was changed.",
        "Send the same content, or change the customer with `PATCH /customers/{customerId}`.",
    ),
    _of(
        errors.CreationInProgress("Customer acme", 6),
        "Another call creates the same customer or connection, or an earlier one was interrupted.",
        "Repeat the same call after `Retry-After` seconds: it continues where the other stopped.",
    ),
    _of(
        errors.DeletionInProgress("acme", 6),
        "Another call deletes the customer, or an earlier one was interrupted.",
        "Repeat the same call after `Retry-After` seconds.",
    ),
    _of(
        errors.CompanyTaken(COMPANY),
        "The company to adopt belongs to another customer, here or by its tag at Codat.",
        "Send another `companyId`, or none, to create a company.",
    ),
    _of(
        errors.AccountingConnectionExists("Xero", CONNECTION),
        "The customer has a linked accounting platform already, and one at a time is allowed.",
        "Unlink or delete that connection first, if the customer wants to change the platform.",
    ),
    _of(
        errors.ConnectionNotLinked(CONNECTION, "PendingAuth"),
        "There is nothing to unlink: only a `Linked` connection can be unlinked.",
        "Read the connection, and show its `nextAction`.",
    ),
    _of(
        errors.ConnectionIsDeleted(CONNECTION),
        "The connection was deleted, and its id is not used again.",
        "Create a connection with `POST /customers/{customerId}/connections`.",
    ),
    _of(
        errors.TooManyInvitations("acme", MAX_OPEN),
        "The customer has the most open invitations that are allowed.",
        "Revoke one that is no longer needed.",
    ),
    Documented(
        "For webhooks only: the body has over 256 KiB.",
        "Nothing. An app does not get this problem.",
        Problem(TOO_LARGE, "A webhook has at most 262144 bytes."),
    ),
    Documented(
        "A field of the body is missing, wrong or unknown, or the request has a body and the route takes none.",
        "Correct each field in `errors`. If your app sent what a user typed, show `detail` beside the field.",
        _invalid("name", "String should have at least 1 character"),
    ),
    _of(
        errors.UnknownPlatform("abcd", PLATFORMS),
        "The platform is not enabled in Codat's portal, or excluded by the parameters of the stack.",
        "Use one of `platforms`, or enable the platform in Codat's portal.",
    ),
    _of(
        errors.CompanyUnknown(COMPANY),
        "Codat has no company of this `companyId`.",
        "Send the id of a company of this Codat account.",
    ),
    _of(
        errors.TooManyTags(5),
        "The company's own tags and yours would be more than the ten that Codat allows.",
        "Send fewer tags.",
    ),
    _codat(
        errors.CodatRateLimited,
        "Codat answered 429: Rate limit exceeded.",
        "Codat's rate limit or daily quota is reached.",
        "Repeat the same call after `Retry-After` seconds.",
        retry_after=30,
    ),
    Documented(
        "A bug.",
        "Repeat the call once. If it fails again, search the logs for the `requestId`.",
        Problem(INTERNAL, "Repeat the call; if it fails again, report the requestId."),
    ),
    _codat(
        errors.CodatUnavailable,
        "Codat answered 503: Service unavailable.",
        "Codat failed (502) or did not answer in time (504). It may have done the work.",
        "Repeat the same call, with exponential backoff: it continues where this one stopped.",
    ),
    _codat(
        errors.CodatRejectedCredentials,
        "Codat answered 401: Unauthorized.",
        "Codat does not accept the API key, or the key is not proven to belong to this deployment.",
        "Alert the operator, who stores a valid API key of this Codat client, or "
        "[confirms the stored one](operations.md#rejected-credentials). Then repeat the call.",
    ),
    _codat(
        errors.CodatRejected,
        "Codat answered 400: The name is not valid.",
        "Codat rejected the request for a reason of its own.",
        "Read Codat's message in `detail`. Repeating does not help.",
    ),
    _codat(
        errors.CodatAccountLimit,
        "Codat answered 402: The limit of your plan is reached.",
        "The plan of the Codat account is used up.",
        "Alert the operator, who extends the plan at Codat. Then repeat the call.",
    ),
    _codat(
        errors.CodatNotFound,
        "Codat answered 404: Not found.",
        "The platform was disabled in Codat's portal within the last minute, or the company or connection was "
        "deleted at Codat meanwhile.",
        "Repeat the call: the next answer names the cause.",
    ),
    _of(
        errors.StoreUnavailable("DynamoDB can't be reached. Repeat this call later."),
        "DynamoDB throttles or can't be reached.",
        "Repeat the same call, with exponential backoff.",
    ),
    _of(
        errors.SecretsUnavailable("Secrets Manager can't be read."),
        "Secrets Manager throttles or can't be reached, or the secret has no API key yet.",
        "Repeat the same call, with exponential backoff. If that does not help, alert the operator.",
    ),
]  # fmt: skip

DOCUMENTED: Mapping[str, Documented] = {each.name: each for each in _ALL}
"""The problem types that a caller can get, by name."""

UNREACHABLE = {"no-platform-available", "invitation-expired", "invitation-revoked"}
"""Problems of an invitation are pages."""


def statuses_of(names: Iterable[str]) -> dict[int, list[Documented]]:
    """Return the problem types by status."""
    by_status: dict[int, list[Documented]] = {}
    for name in names:
        for status in DOCUMENTED[name].statuses:
            by_status.setdefault(status, []).append(DOCUMENTED[name])
    return dict(sorted(by_status.items()))


def _kinds() -> list[Any]:
    return [MALFORMED_JSON, INVALID, TOO_LARGE, INTERNAL, *KINDS.values()]


def undocumented() -> set[str]:
    return {kind.type for kind in _kinds()} - DOCUMENTED.keys() - UNREACHABLE
