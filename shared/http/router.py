"""Route an API Gateway event to a function, return its response or problem, and log one line."""

import json
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.domain.customers import is_customer_id
from shared.domain.errors import CodatCustomersError, ConnectionNotFound, CustomerNotFound, InvitationNotFound
from shared.http import query
from shared.http.problems import INTERNAL, INVALID, MALFORMED_JSON, RATE_LIMITED, Problem, problem_of
from shared.runtime.clock import LambdaContext
from shared.runtime.observability import Handler, Telemetry, logger, observed

_Model = TypeVar("_Model", bound=BaseModel)
MAX_ID = 100
# Limits of the problem for an invalid body, because Lambda's responses are limited to 6 MB.
MAX_FIELDS = 20
MAX_FIELD_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: Any = field(default="", repr=False)
    """A document that becomes JSON, or a text whose type is in `headers`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_logged: bool = True
    """Whether the router logs a line for this response. A route that returns False logs by itself."""


@dataclass(frozen=True, slots=True)
class Request:
    """An API Gateway HTTP API event, payload format 2.0."""

    event: Mapping[str, Any] = field(repr=False)
    context: LambdaContext

    @property
    def request_id(self) -> str:
        return str(self.event["requestContext"]["requestId"])

    @property
    def caller(self) -> str | None:
        """The ARN that signed the request; None if the route needs no signature."""
        arn = self.event["requestContext"].get("authorizer", {}).get("iam", {}).get("userArn")
        return None if arn is None else str(arn)

    @property
    def method(self) -> str:
        return str(self.event["requestContext"]["http"]["method"])

    @property
    def source_ip(self) -> str:
        """The address that connected to API Gateway."""
        return str(self.event["requestContext"]["http"]["sourceIp"])

    @property
    def query(self) -> Mapping[str, str]:
        return self.event.get("queryStringParameters") or {}

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with names in lower case."""
        return {name.lower(): value for name, value in (self.event.get("headers") or {}).items()}

    @property
    def customer_id(self) -> str:
        """Raises CustomerNotFound if the text can't be an id."""
        customer_id = str(self.event["pathParameters"]["customerId"])
        if not is_customer_id(customer_id):
            raise CustomerNotFound(customer_id[:MAX_ID])
        Telemetry().note(customer_id=customer_id)
        return customer_id

    @property
    def connection_id(self) -> str:
        """Raises ConnectionNotFound if the text can't be an id."""
        return self._id_of("connection", ConnectionNotFound)

    @property
    def invitation_id(self) -> str:
        """Raises InvitationNotFound if the text can't be an id."""
        return self._id_of("invitation", InvitationNotFound)

    def _id_of(self, kind: str, not_found: Callable[[str, str], CodatCustomersError]) -> str:
        """Return the path parameter, and add it to the log lines. Raises `not_found` if the text can't be an id."""
        text = str(self.event["pathParameters"][f"{kind}Id"])
        if not text or len(text) > MAX_ID:
            raise not_found(self.customer_id, text[:MAX_ID])
        logger.thread_safe_append_keys(**{f"{kind}_id": text})
        return text

    @property
    def base_url(self) -> str:
        """The API's URL as the caller wrote it. API Gateway answers a request only if `Host` is a domain of the API."""
        return f"{self.headers['x-forwarded-proto']}://{self.headers['host']}"

    @property
    def body(self) -> bytes:
        """The body as the caller sent it. API Gateway encodes binary bodies as base64. Raises Problem."""
        body = self.event.get("body") or ""
        try:
            return b64decode(body) if self.event.get("isBase64Encoded") else body.encode()
        except ValueError as error:
            raise Problem(MALFORMED_JSON, "The body could not be decoded.") from error

    def read(self, model: type[_Model], **context: str) -> _Model:
        """Parse the body; `context` is for the model's validators. Raises Problem with an error for each field."""
        try:
            return model.model_validate_json(self.body, context=context)
        except ValidationError as error:
            raise _invalid_body(error) from error


def problem_response(problem: Problem, request: Request, *, is_logged: bool = True) -> Response:
    headers = {"content-type": "application/problem+json"}
    if problem.retry_after is not None:
        headers["retry-after"] = str(problem.retry_after)
    return Response(problem.kind.status, problem.document(request.request_id), headers, is_logged=is_logged)


@dataclass(frozen=True, slots=True)
class Route:
    """A function, and what it reads of a request. Other input is refused, because it would have no effect."""

    function: Callable[[Request], Response]
    query: Collection[str] | None = ()
    """The names of its query parameters; None accepts any."""
    has_body: bool = False

    def __call__(self, request: Request) -> Response:
        if self.query is not None:
            query.allow_only(request.query, *self.query)
        if not self.has_body and request.event.get("body"):
            raise _invalid([{"field": "body", "detail": "must be empty: this route has no body"}])
        return self.function(request)


def http_handler(
    routes: Mapping[str, Route], respond_to_problem: Callable[[Problem, Request], Response] = problem_response
) -> Handler:
    """Return the Lambda handler for `routes` by API Gateway's route key, such as "GET /platforms"."""

    @observed
    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        request = Request(event, context)
        started = monotonic()
        logger.thread_safe_append_keys(request_id=request.request_id, route=event["routeKey"])
        response = _respond(routes, request, respond_to_problem)
        if response.is_logged:
            milliseconds = round((monotonic() - started) * 1000)
            logger.info("answered", extra={"status": response.status, "milliseconds": milliseconds})
        is_text = isinstance(response.body, str)
        content_type = {} if is_text else {"content-type": "application/json"}
        return {
            "statusCode": response.status,
            "headers": {**content_type, "cache-control": "no-store", **response.headers},
            "body": response.body if is_text else json.dumps(response.body, ensure_ascii=False),
            "isBase64Encoded": False,
        }

    return handler


def _respond(
    routes: Mapping[str, Route], request: Request, respond_to_problem: Callable[[Problem, Request], Response]
) -> Response:
    try:
        return routes[request.event["routeKey"]](request)
    except Problem as error:
        problem = error
    except CodatCustomersError as error:
        problem = problem_of(error)
        log = logger.error if problem.kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR else logger.info
        log("refused", extra={"problem": problem.kind.type, "detail": str(error)})
    except Exception:  # noqa: BLE001  # a bug: the log has its traceback, with the request id
        logger.exception("unexpected error")
        problem = Problem(INTERNAL, "Repeat the call; if it fails again, report the requestId.")
    if problem.kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR or problem.kind is RATE_LIMITED:
        Telemetry().count("Failed", problem=problem.kind.type)
    return respond_to_problem(problem, request)


def _invalid_body(error: ValidationError) -> Problem:
    lines = error.errors(include_url=False, include_context=False, include_input=False)
    if not lines[0]["loc"] and lines[0]["type"] in {"json_invalid", "model_type"}:
        return Problem(MALFORMED_JSON, f"The body must be a JSON object. {lines[0]['msg']}.")
    fields = [
        {
            "field": ".".join(map(str, line["loc"]))[:MAX_FIELD_CHARACTERS] or "body",
            "detail": line["msg"].removeprefix("Value error, "),
        }
        for line in lines[:MAX_FIELDS]
    ]
    return _invalid(fields)


def _invalid(fields: list[dict[str, str]]) -> Problem:
    detail = "; ".join(f"{line['field']}: {line['detail']}" for line in fields[:3])
    return Problem(INVALID, detail, extensions={"errors": fields})
