"""POST /webhooks/codat: receives Codat's events. It returns 204 only when their effect is stored."""

from http import HTTPStatus
from ipaddress import ip_address

from functions.codat_webhook.refusals import refusals
from shared.bootstrap import webhook
from shared.domain.errors import NotAuthentic
from shared.http.problems import TOO_LARGE, Problem, problem_of
from shared.http.router import Request, Response, Route, http_handler, problem_response
from shared.runtime import clock
from shared.runtime.observability import Telemetry, logger
from shared.runtime.settings import WebhookSettings, read
from shared.services.webhooks import receive

MAX_BODY_BYTES = 256 * 1024
_BASE64_OVERHEAD = 4 / 3


def accept(request: Request) -> Response:
    try:
        _require_allowed_source(request)
        receive(_body(request), request.headers, webhook.context(request))
    except NotAuthentic as rejection:
        return _refused(request, rejection.reason, problem_of(rejection))
    except Problem as problem:
        return _refused(request, "oversized-body", problem)
    return Response(HTTPStatus.NO_CONTENT)


def _require_allowed_source(request: Request) -> None:
    """Raise NotAuthentic for an address outside of the allowed ranges, if there are any."""
    ranges = read(WebhookSettings).webhook_source_ranges
    if ranges and not any(ip_address(request.source_ip) in allowed for allowed in ranges):
        raise NotAuthentic("source")


def _body(request: Request) -> bytes:
    """Return the decoded body. Raises Problem if it is too large, and NotAuthentic if it can't be decoded."""
    too_large = Problem(TOO_LARGE, f"A webhook has at most {MAX_BODY_BYTES} bytes.")
    if len(request.event.get("body") or "") > MAX_BODY_BYTES * _BASE64_OVERHEAD + 4:
        raise too_large  # before the body is decoded
    try:
        body = request.body
    except Problem as error:
        # A body that can't be decoded has no valid signature.
        raise NotAuthentic("malformed") from error
    if len(body) > MAX_BODY_BYTES:
        raise too_large
    return body


def _refused(request: Request, reason: str, problem: Problem) -> Response:
    """Return the problem. Everyone can send webhooks, so not every rejected one is logged and measured by itself."""
    if count := refusals().add(reason, clock.now()):
        Telemetry().count_many("WebhookRefused", count, reason=reason)
        logger.info("webhooks refused", extra={"reason": reason, "count": count})
    return problem_response(problem, request, is_logged=False)


handler = http_handler({"POST /webhooks/codat": Route(accept, query=None, has_body=True)})
webhook.initialize()
