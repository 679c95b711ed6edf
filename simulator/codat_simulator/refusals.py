"""What Codat answers when it doesn't do what it was asked."""

from typing import Any


class Refusal(Exception):
    """An answer other than success: a status and what goes into Codat's ErrorMessage."""

    def __init__(
        self,
        status: int,
        error: str,
        *,
        service: str = "PublicApi",
        validation: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.service = service
        self.validation = validation
        self.headers = headers or {}


def not_valid(item: str, message: str) -> Refusal:
    errors = [{"itemId": item, "message": message, "validatorName": "RequestBodyValidator"}]
    return Refusal(
        400,
        "Error processing request - not valid.",
        validation={"errors": errors, "warnings": []},
    )


def malformed_query() -> Refusal:
    return Refusal(400, "Error parsing query - Malformed query.", service="ClientsApi")


def unresolved_property(name: str, resource: str) -> Refusal:
    return Refusal(400, f"Error parsing query - Could not resolve property {name} on {resource}", service="ClientsApi")


def unauthorized() -> Refusal:
    return Refusal(401, "Unauthorized")


def company_limit_reached(limit: int) -> Refusal:
    return Refusal(
        402,
        f"You have exceeded the {limit}-company limit that applies to a Free plan. We recommend that you "
        "delete any companies you no longer need and retry the request.",
    )


def company_not_found(company_id: str) -> Refusal:
    return Refusal(404, f"No company was found with ID {company_id}", service="ClientsApi")


def connection_not_found(connection_id: str) -> Refusal:
    return Refusal(404, f"Data connection {connection_id} not found")


def integration_not_found(platform_key: str) -> Refusal:
    return Refusal(404, f"Integration {platform_key} not found")


def consumer_not_found(webhook_id: str) -> Refusal:
    return Refusal(404, f"Webhook consumer {webhook_id} not found")


def api_key_not_found(api_key_id: str) -> Refusal:
    return Refusal(404, f"API key {api_key_id} not found")


def api_key_limit_reached() -> Refusal:
    return Refusal(
        409,
        "Maximum number of API keys reached. To create a new API key, delete an unused key and try again.",
    )


def api_key_name_too_long(limit: int) -> Refusal:
    return Refusal(400, f"Max string length ({limit}) for `name` reached.")


def not_linked(connection_id: str, status: str) -> Refusal:
    return Refusal(
        400,
        f"Data connection {connection_id} can't be unlinked: its status is {status}, not Linked.",
        service="ClientsApi",
    )


def too_many_requests(retry_after: int) -> Refusal:
    return Refusal(
        429,
        "You have made too many requests in a given amount of time; please retry later.",
        headers={"Retry-After": str(retry_after)},
    )


_WORDS = {
    400: "Error processing request - not valid.",
    401: "Unauthorized",
    402: "An account limit has been exceeded.",
    403: "You are using an outdated API key or a key not associated with that resource.",
    404: "One or more of the resources you referenced could not be found.",
    409: "The data set has not been requested.",
    500: "There is a problem with our server. Please try again later.",
    503: "The Codat API is temporarily offline for maintenance. Please try again later.",
}


def of_status(status: int, retry_after: int | None = None) -> Refusal:
    """The answer that a fault asks for."""
    if status == 429:  # noqa: PLR2004 - a status code names itself
        return too_many_requests(1 if retry_after is None else retry_after)
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Refusal(status, _WORDS.get(status, f"Error {status}."), headers=headers)
