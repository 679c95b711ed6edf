"""Convert HTTP requests to events of an API Gateway HTTP API, payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
Empty fields have AWS SAM's form (`cookies: []`, `body: ""`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from local.template import ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

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


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`path` is percent-decoded; headers are in order and may repeat."""

    method: str
    path: str
    query_string: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    received_at: datetime
    source_ip: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"
    port: int = 80


def api_gateway_event(
    request: HttpRequest, route: Route, path_parameters: Mapping[str, str], request_id: str
) -> dict[str, Any]:
    headers = _joined((name.lower(), value) for name, value in request.headers)
    body, is_base64 = encoded_body(request.body, headers.get("content-type", ""))
    context: dict[str, Any] = {
        "accountId": ACCOUNT_ID,
        "apiId": "1234567890",
        "domainName": "localhost",
        "domainPrefix": "localhost",
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": route.key,
        "stage": "$default",
        "time": request.received_at.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(request.received_at.timestamp() * 1000),
    }
    if route.iam:
        context["authorizer"] = {"iam": dict(_CALLER)}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.path,
        "rawQueryString": request.query_string,
        "cookies": [cookie for part in headers.get("cookie", "").split(";") if (cookie := part.strip())],
        "headers": {**headers, "x-forwarded-proto": "http", "x-forwarded-port": str(request.port)},
        "requestContext": context,
        "pathParameters": dict(path_parameters),
        "stageVariables": None,
        "body": body,
        "isBase64Encoded": is_base64,
    }
    if query := _joined(parse_qsl(request.query_string, keep_blank_values=True)):
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


def _joined(pairs: Any) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
