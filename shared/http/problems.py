"""Map each error that can reach a caller to a problem (RFC 9457, `application/problem+json`) with its HTTP status."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain import errors


@dataclass(frozen=True, slots=True)
class ProblemType:
    status: int
    type: str
    title: str


@dataclass(eq=False)
class Problem(Exception):
    """The answer to a request that failed; a function may raise it."""

    kind: ProblemType
    detail: str
    retry_after: int | None = None
    """Seconds, for the `Retry-After` header; not in the document."""
    extensions: Mapping[str, Any] | None = None

    def document(self, request_id: str) -> dict[str, Any]:
        return {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "requestId": request_id,
            **(self.extensions or {}),
        }


MALFORMED_JSON = ProblemType(400, "malformed-json", "The body is not JSON")
INVALID = ProblemType(422, "validation-error", "The request is not valid")
TOO_LARGE = ProblemType(413, "too-large", "The body is too large")
RATE_LIMITED = ProblemType(429, "codat-rate-limited", "Codat's rate limit is reached")
INTERNAL = ProblemType(500, "internal-error", "An unexpected error occurred")

# A type without an entry has that of its base class.
KINDS: Mapping[type[errors.CodatCustomersError], ProblemType] = {
    errors.CustomerNotFound: ProblemType(404, "customer-not-found", "Customer not found"),
    errors.CustomerConflict: ProblemType(409, "customer-conflict", "The customer exists with other content"),
    errors.CreationInProgress: ProblemType(409, "creation-in-progress", "Creation in progress"),
    errors.DeletionInProgress: ProblemType(409, "deletion-in-progress", "Deletion in progress"),
    errors.CompanyTaken: ProblemType(409, "company-taken", "The company belongs to another customer"),
    errors.CompanyUnknown: ProblemType(422, "company-unknown", "Codat has no such company"),
    errors.CompanyGone: ProblemType(404, "customer-not-found", "The customer's company was deleted"),
    errors.TooManyTags: ProblemType(422, "too-many-tags", "The company would have too many tags"),
    errors.InvalidQuery: ProblemType(400, "invalid-query", "A query parameter is not valid"),
    errors.UnknownPlatform: ProblemType(422, "unknown-platform", "The platform is not available"),
    errors.ConnectionNotFound: ProblemType(404, "connection-not-found", "Connection not found"),
    errors.AccountingConnectionExists: ProblemType(
        409, "accounting-connection-exists", "Another accounting platform is linked"
    ),
    errors.ConnectionNotLinked: ProblemType(409, "connection-not-linked", "The connection is not linked"),
    errors.ConnectionIsDeleted: ProblemType(409, "connection-deleted", "The connection was deleted"),
    errors.InvitationNotFound: ProblemType(404, "invitation-not-found", "Invitation not found"),
    errors.TooManyInvitations: ProblemType(409, "too-many-invitations", "The customer has too many open invitations"),
    errors.NoPlatformAvailable: ProblemType(422, "no-platform-available", "No platform is available"),
    errors.InvitationExpired: ProblemType(410, "invitation-expired", "The invitation has expired"),
    errors.InvitationRevoked: ProblemType(410, "invitation-revoked", "The invitation was revoked"),
    errors.CodatRejectedCredentials: ProblemType(
        502, "codat-rejected-credentials", "Codat does not accept the API key"
    ),
    errors.CodatAccountLimit: ProblemType(502, "codat-account-limit", "The Codat account has reached its limit"),
    errors.CodatNotFound: ProblemType(502, "codat-not-found", "Codat has no such resource"),
    errors.CodatRejected: ProblemType(502, "codat-rejected", "Codat rejected the request"),
    errors.CodatRateLimited: RATE_LIMITED,
    errors.CodatTimedOut: ProblemType(504, "codat-unavailable", "Codat did not answer in time"),
    errors.CodatUnavailable: ProblemType(502, "codat-unavailable", "Codat is unavailable"),
    errors.StoreUnavailable: ProblemType(503, "store-unavailable", "The store is unavailable"),
    errors.SecretsUnavailable: ProblemType(503, "secrets-unavailable", "The Codat credentials are unavailable"),
    errors.NotAuthentic: ProblemType(401, "not-authentic", "The webhook is not authentic"),
}


def problem_of(error: errors.CodatCustomersError) -> Problem:
    extensions: dict[str, Any] = {}
    if isinstance(error, errors.CodatError) and error.correlation_id is not None:
        extensions["correlationId"] = error.correlation_id
    if isinstance(error, errors.Refused) and error.field is not None:
        extensions["errors"] = [{"field": error.field, "detail": str(error).removeprefix(f"{error.field}: ")}]
    if isinstance(error, errors.UnknownPlatform):
        extensions["platforms"] = [{"platformKey": key, "platformName": name} for key, name in error.available.items()]
    kind = next((KINDS[each] for each in type(error).__mro__ if each in KINDS), INTERNAL)
    return Problem(kind, str(error), getattr(error, "retry_after", None), extensions)
