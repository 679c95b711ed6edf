"""Events of payload format 2.0, as API Gateway documents and sends them."""

import base64
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any, Self

import pytest
from starlette.requests import Request

from local.gateway import events
from local.gateway.events import api_gateway_event, encoded_body
from local.template import Route

ROUTE = Route("POST", "/customers/{customerId}/connections", "CreateConnectionFunction", iam=True)
SCOPE: dict[str, Any] = {
    "type": "http",
    "http_version": "1.1",
    "method": "POST",
    "path": "/customers/café 1/connections",
    "query_string": b"a=1&a=2&b&c=x%20y+z",
    "headers": [
        (b"host", b"localhost:3000"),
        (b"content-type", b"application/json"),
        (b"user-agent", b"curl/8.5"),
        (b"x-many", b"first"),
        (b"x-many", b"second"),
        (b"cookie", b"first=1; second=2"),
    ],
    "client": ("127.0.0.1", 50000),
    "server": ("127.0.0.1", 3000),
}


class FixedDatetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2026, 11, 22, 20, 22, 34, 567000, tzinfo=tz)


def test_an_iam_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a request to an IAM route THEN each field of the event is API Gateway's."""
    monkeypatch.setattr(events, "datetime", FixedDatetime)
    body = b'{"platformKey": "qhyg"}'
    assert api_gateway_event(Request(SCOPE), body, ROUTE, {"customerId": "café 1"}, "request-1") == {
        "version": "2.0",
        "routeKey": "POST /customers/{customerId}/connections",
        "rawPath": "/customers/café 1/connections",
        "rawQueryString": "a=1&a=2&b&c=x%20y+z",
        "cookies": ["first=1", "second=2"],
        "headers": {
            "host": "localhost:3000",
            "content-type": "application/json",
            "user-agent": "curl/8.5",
            "x-many": "first,second",
            "cookie": "first=1; second=2",
            "x-forwarded-proto": "http",
            "x-forwarded-port": "3000",
        },
        "queryStringParameters": {"a": "1,2", "b": "", "c": "x y z"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "1234567890",
            "authorizer": {
                "iam": {
                    "accessKey": "ASIALOCALONEMACHINE",
                    "accountId": "123456789012",
                    "callerId": "AROALOCALONEMACHINE:developer",
                    "cognitoIdentity": None,
                    "principalOrgId": None,
                    "userArn": "arn:aws:sts::123456789012:assumed-role/local/developer",
                    "userId": "AROALOCALONEMACHINE:developer",
                }
            },
            "domainName": "localhost",
            "domainPrefix": "localhost",
            "http": {
                "method": "POST",
                "path": "/customers/café 1/connections",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "curl/8.5",
            },
            "requestId": "request-1",
            "routeKey": "POST /customers/{customerId}/connections",
            "stage": "$default",
            "time": "22/Nov/2026:20:22:34 +0000",
            "timeEpoch": 1795378954567,
        },
        "pathParameters": {"customerId": "café 1"},
        "stageVariables": None,
        "body": '{"platformKey": "qhyg"}',
        "isBase64Encoded": False,
    }


def test_a_route_without_iam_and_a_request_without_headers() -> None:
    """The event has no authorizer and no query parameters."""
    request = Request({**SCOPE, "query_string": b"", "headers": []})
    event = api_gateway_event(request, b"", replace(ROUTE, iam=False), {}, "request-1")
    assert "authorizer" not in event["requestContext"]
    assert "queryStringParameters" not in event
    assert (event["cookies"], event["body"], event["isBase64Encoded"]) == ([], "", False)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "text/plain", "application/xml"],
)
def test_text_types_stay_text(content_type: str) -> None:
    """The types that an HTTP API passes on as text."""
    assert encoded_body("{é}".encode(), content_type) == ("{é}", False)


@pytest.mark.parametrize(
    "content_type",
    ["", "application/octet-stream", "application/x-www-form-urlencoded", "application/problem+json", "image/png"],
)
def test_other_types_are_base64(content_type: str) -> None:
    """Also forms, which `curl -d` sends, and bodies without a type."""
    assert encoded_body(b"{}", content_type) == ("e30=", True)


def test_a_body_that_is_not_utf_8_is_base64_whatever_its_type() -> None:
    """A signature is over the raw bytes, so they must be kept."""
    body = b'{"name": "\xff"}'
    encoded, is_base64 = encoded_body(body, "application/json")
    assert is_base64
    assert base64.b64decode(encoded) == body
