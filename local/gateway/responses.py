"""Convert a handler's result to an HTTP response by the rules of payload format 2.0."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from http import HTTPStatus

_NO_BODY = frozenset({204, 304})


class MalformedResponseError(Exception):
    """The handler's result is not a valid response; API Gateway answers 500."""


def http_response(result: Any) -> Response:
    """Raises MalformedResponseError."""
    try:
        return _http_response(result)
    except (TypeError, ValueError, AttributeError) as error:
        raise MalformedResponseError(str(error)) from None


def message(status: int, text: str) -> Response:
    """Return an error response of API Gateway itself."""
    return Response(json.dumps({"message": text}, separators=(",", ":")), status, media_type="application/json")


def problem(status: HTTPStatus, detail: str) -> Response:
    """Return an error response of the local stack, which no deployed API has."""
    document = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    return JSONResponse(document, status, media_type="application/problem+json")


def _http_response(result: Any) -> Response:
    if not isinstance(result, dict) or "statusCode" not in result:
        # API Gateway uses a result without a status as the body of a 200.
        body = result if isinstance(result, str) else json.dumps(result)
        return Response(body, 200, media_type="application/json")
    status = int(result["statusCode"])
    if not 100 <= status <= 599:  # noqa: PLR2004 - HTTP's range
        raise ValueError(f"statusCode is {status}")
    content = (result.get("body") or "").encode("utf-8")
    if result.get("isBase64Encoded"):
        content = base64.b64decode(content, validate=True)
    response = Response(b"" if status in _NO_BODY else content, status)
    for name, value in (result.get("headers") or {}).items():
        # The server sets these.
        if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
            response.headers[name] = str(value).lower() if isinstance(value, bool) else str(value)
    if response.body and "content-type" not in response.headers:
        response.headers["content-type"] = "text/plain;charset=UTF-8"
    for cookie in result.get("cookies") or []:
        response.headers.append("set-cookie", cookie)
    return response
