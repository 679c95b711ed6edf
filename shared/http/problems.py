"""Map errors to problems (RFC 9457, `application/problem+json`) and HTTP status codes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain import errors


@dataclass(frozen=True, slots=True)
class Kind:
    status: int
    type: str
    title: str


@dataclass(frozen=True, slots=True)
class Problem:
    kind: Kind
    detail: str
    retry_after: int | None = None
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


MALFORMED_JSON = Kind(400, "malformed-json", "The body is not JSON")
INVALID = Kind(422, "validation-error", "The request is not valid")
TOO_LARGE = Kind(413, "too-large", "The body is too large")
NOT_FOUND = Kind(404, "not-found", "There is no such route")
INTERNAL = Kind(500, "internal-error", "An unexpected error occurred")

_KINDS: Mapping[type[errors.CodatCustomersError], Kind] = {
    errors.CustomerNotFound: Kind(404, "customer-not-found", "Customer not found"),
    errors.CustomerConflict: Kind(409, "customer-conflict", "The customer exists with other content"),
    errors.CreationInProgress: Kind(409, "creation-in-progress", "Creation in progress"),
    errors.DeletionInProgress: Kind(409, "deletion-in-progress", "Deletion in progress"),
    errors.CompanyTaken: Kind(409, "company-taken", "The company belongs to another customer"),
    errors.CompanyUnknown: Kind(422, "company-unknown", "Codat has no such company"),
    errors.CompanyGone: Kind(404, "customer-not-found", "The customer's company was deleted"),
    errors.TooManyTags: Kind(422, "too-many-tags", "The company would have too many tags"),
    errors.InvalidQuery: Kind(400, "invalid-query", "A query parameter is not valid"),
    errors.UnknownPlatform: Kind(422, "unknown-platform", "The platform is not available"),
    errors.ConnectionNotFound: Kind(404, "connection-not-found", "Connection not found"),
    errors.AccountingConnectionExists: Kind(
        409, "accounting-connection-exists", "Another accounting platform is linked"
    ),
    errors.ConnectionNotLinked: Kind(409, "connection-not-linked", "The connection is not linked"),
    errors.ConnectionIsDeleted: Kind(409, "connection-deleted", "The connection was deleted"),
    errors.CodatRejectedCredentials: Kind(502, "codat-rejected-credentials", "Codat does not accept the API key"),
    errors.CodatAccountLimit: Kind(502, "codat-account-limit", "The Codat account has reached its limit"),
    errors.CodatNotFound: Kind(502, "codat-not-found", "Codat has no such resource"),
    errors.CodatRejected: Kind(502, "codat-rejected", "Codat rejected the request"),
    errors.CodatRateLimited: Kind(429, "codat-rate-limited", "Codat's rate limit is reached"),
    errors.CodatTimedOut: Kind(504, "codat-unavailable", "Codat did not answer in time"),
    errors.CodatUnavailable: Kind(502, "codat-unavailable", "Codat is unavailable"),
    errors.StoreUnavailable: Kind(503, "store-unavailable", "The store is unavailable"),
    errors.SecretsUnavailable: Kind(503, "secrets-unavailable", "The Codat credentials are unavailable"),
    errors.NotAuthentic: Kind(401, "not-authentic", "The webhook is not authentic"),
}


def problem_of(error: errors.CodatCustomersError) -> Problem:
    extensions: dict[str, Any] = {}
    if isinstance(error, errors.CodatError) and error.correlation_id is not None:
        extensions["correlationId"] = error.correlation_id
    if isinstance(error, errors.Refused) and error.field is not None:
        extensions["errors"] = [{"field": error.field, "detail": str(error)}]
    if isinstance(error, errors.UnknownPlatform):
        extensions["platforms"] = [{"platformKey": key, "platformName": name} for key, name in error.available.items()]
    kind = next(_KINDS[error_type] for error_type in type(error).__mro__ if error_type in _KINDS)
    return Problem(kind, str(error), getattr(error, "retry_after", None), extensions)
