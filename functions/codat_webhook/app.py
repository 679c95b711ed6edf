"""POST /webhooks/codat: receives Codat's events. It returns 204 only when their effect is stored."""

from http import HTTPStatus

from shared import bootstrap
from shared.domain.errors import NotAuthentic
from shared.http.problems import TOO_LARGE, Problem
from shared.http.router import Request, Response, http_handler
from shared.services.webhooks import receive

MAX_BODY_BYTES = 256 * 1024
_BASE64_OVERHEAD = 4 / 3


def accept(request: Request) -> Response:
    too_large = Problem(TOO_LARGE, f"A webhook has at most {MAX_BODY_BYTES} bytes.")
    if len(request.event.get("body") or "") > MAX_BODY_BYTES * _BASE64_OVERHEAD + 4:
        raise too_large  # before the body is decoded
    context = bootstrap.webhook_context(request)
    try:
        body = request.body
    except Problem as error:
        # A body that can't be decoded has no valid signature.
        context.telemetry.count("WebhookRefused", reason="malformed")
        raise NotAuthentic("malformed") from error
    if len(body) > MAX_BODY_BYTES:
        raise too_large
    receive(body, request.headers, context)
    return Response(HTTPStatus.NO_CONTENT)


handler = http_handler({"POST /webhooks/codat": accept})
