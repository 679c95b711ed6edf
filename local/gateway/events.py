"""Convert HTTP requests to events of an API Gateway HTTP API, payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
Empty fields have AWS SAM's form (`cookies: []`, `body: ""`).
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.template import ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from local.template import Route

# Requests are not signed on one machine: every caller of an IAM route is this role.
_CALLER = {
    "accessKey": "ASIALOCALONEMACHINE",
    "accountId": ACCOUNT_ID,
    "callerId": "AROALOCALONEMACHINE:developer",
    "cognitoIdentity": None,
    "principalOrgId": None,
    "userArn": f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/local/developer",
    "userId": "AROALOCALONEMACHINE:developer",
}

# The types that an HTTP API passes on as text. Forms, other +json types and bodies without a type are binary.
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/javascript"})


def api_gateway_event(
    request: Request, body: bytes, route: Route, path_parameters: dict[str, str], request_id: str
) -> dict[str, Any]:
    now = datetime.now(UTC)
    path = request.scope["path"]
    headers = _joined(request.headers.items())
    text, is_base64 = encoded_body(body, headers.get("content-type", ""))
    context: dict[str, Any] = {
        "accountId": ACCOUNT_ID,
        "apiId": "1234567890",
        "domainName": "localhost",
        "domainPrefix": "localhost",
        "http": {
            "method": request.method,
            "path": path,
            "protocol": f"HTTP/{request.scope['http_version']}",
            "sourceIp": request.client.host if request.client else "127.0.0.1",
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": route.key,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }
    if route.iam:
        context["authorizer"] = {"iam": dict(_CALLER)}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": request.scope["query_string"].decode("latin-1"),
        "cookies": [cookie for part in headers.get("cookie", "").split(";") if (cookie := part.strip())],
        "headers": {**headers, "x-forwarded-proto": "http", "x-forwarded-port": str(request.scope["server"][1])},
        "requestContext": context,
        "pathParameters": path_parameters,
        "stageVariables": None,
        "body": text,
        "isBase64Encoded": is_base64,
    }
    if query := _joined(request.query_params.multi_items()):
        event["queryStringParameters"] = query
    return event


def encoded_body(body: bytes, content_type: str) -> tuple[str, bool]:
    """Return the event's body, and whether it is base64: for binary types and invalid UTF-8."""
    media_type = content_type.partition(";")[0].strip().lower()
    if not body:
        return "", False
    if media_type.startswith("text/") or media_type in _TEXT_TYPES:
        try:
            return body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass  # binary despite its type
    return base64.b64encode(body).decode("ascii"), True


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
