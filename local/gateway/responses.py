"""Convert a handler's result to an HTTP response by the rules of payload format 2.0."""

from __future__ import annotations

import base64
import json
from typing import Any

from starlette.responses import Response

_NO_BODY = frozenset({204, 304})


class MalformedResponseError(Exception):
    """The handler's result is not a valid response; API Gateway answers 500."""


def http_response(result: Any) -> Response:
    if not isinstance(result, dict) or "statusCode" not in result:
        # API Gateway uses a result without a status as the body of a 200.
        return Response(_json(result), 200, media_type="application/json")
    status = _status(result["statusCode"])
    response = Response(b"" if status in _NO_BODY else _body(result), status)
    headers = result.get("headers") or {}
    for name, value in headers.items():
        # The server sets these.
        if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
            response.headers[name] = str(value).lower() if isinstance(value, bool) else str(value)
    if response.body and "content-type" not in response.headers:
        response.headers["content-type"] = "text/plain;charset=UTF-8"
    for cookie in result.get("cookies") or []:
        response.headers.append("set-cookie", cookie)
    return response


def message(status: int, text: str) -> Response:
    """Return an error response of API Gateway itself."""
    return Response(json.dumps({"message": text}, separators=(",", ":")), status, media_type="application/json")


def _json(result: Any) -> str:
    if isinstance(result, str):
        return result
    try:
        return json.dumps(result)
    except (TypeError, ValueError) as error:
        raise MalformedResponseError(str(error)) from None


def _status(value: Any) -> int:
    try:
        status = int(value)
    except (TypeError, ValueError):
        raise MalformedResponseError(f"statusCode is {value!r}") from None
    if not 100 <= status <= 599:  # noqa: PLR2004 - HTTP's range
        raise MalformedResponseError(f"statusCode is {value!r}")
    return status


def _body(result: dict[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponseError(f"body is {type(body).__name__}, not a string")
    if not result.get("isBase64Encoded"):
        return body.encode("utf-8")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        raise MalformedResponseError("isBase64Encoded is set, but the body is not base64") from None
