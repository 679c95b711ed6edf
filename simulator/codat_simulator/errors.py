"""The errors that Codat returns."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

_MESSAGES = {
    400: "Error processing request - not valid.",
    401: "Unauthorized",
    402: "An account limit has been exceeded.",
    403: "You are using an outdated API key or a key not associated with that resource.",
    404: "One or more of the resources you referenced could not be found.",
    405: "Method not allowed.",
    409: "The data set has not been requested.",
    429: "You have made too many requests in a given amount of time; please retry later.",
    500: "There is a problem with our server. Please try again later.",
    503: "The Codat API is temporarily offline for maintenance. Please try again later.",
}
_CLIENTS_API = "ClientsApi"


@dataclass(eq=False)
class ApiError(Exception):
    """The status of an error response and the properties of Codat's ErrorMessage that vary."""

    status: int
    message: str
    service: str = "PublicApi"
    validation: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def error_for_status(status: int, retry_after: int | None = None) -> ApiError:
    """Return the error with the text that Codat documents for this status."""
    if status == 429 and retry_after is None:  # noqa: PLR2004 - 429 is clearer than a name for it
        retry_after = 1
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return ApiError(status, _MESSAGES.get(status, f"Error {status}."), headers=headers)


def not_valid(item: str, message: str) -> ApiError:
    errors = [{"itemId": item, "message": message, "validatorName": "RequestBodyValidator"}]
    return ApiError(400, _MESSAGES[400], validation={"errors": errors, "warnings": []})


def from_validation_error(error: ValidationError) -> ApiError:
    first = error.errors()[0]
    return not_valid(".".join(str(part) for part in first["loc"]) or "body", first["msg"])


def malformed_query() -> ApiError:
    return ApiError(400, "Error parsing query - Malformed query.", _CLIENTS_API)


def unresolved_property(name: str, resource: str) -> ApiError:
    return ApiError(400, f"Error parsing query - Could not resolve property {name} on {resource}", _CLIENTS_API)


def company_limit_reached(limit: int) -> ApiError:
    message = (
        f"You have exceeded the {limit}-company limit that applies to a Free plan. We recommend that you "
        "delete any companies you no longer need and retry the request."
    )
    return ApiError(402, message)


def company_not_found(company_id: str) -> ApiError:
    return ApiError(404, f"No company was found with ID {company_id}", _CLIENTS_API)


def not_found(resource: str, resource_id: str) -> ApiError:
    return ApiError(404, f"{resource} {resource_id} not found")


def not_linked(connection_id: str, status: str) -> ApiError:
    message = f"Data connection {connection_id} can't be unlinked: its status is {status}, not Linked."
    return ApiError(400, message, _CLIENTS_API)
