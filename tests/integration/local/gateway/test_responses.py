"""HTTP responses from handlers' results."""

from typing import Any

import pytest

from local.gateway.responses import MalformedResponseError, http_response


def test_status_headers_cookies_and_body() -> None:
    """Each field of payload format 2.0 is used; the handler's content-length is replaced."""
    response = http_response(
        {
            "statusCode": 201,
            "headers": {"Location": "/customers/a", "X-Count": 3, "X-Yes": True, "Content-Length": "999"},
            "cookies": ["a=1; Secure", "b=2"],
            "body": "é",
        }
    )
    assert response.status_code == 201
    assert response.body == "é".encode()
    assert response.headers["location"] == "/customers/a"
    assert (response.headers["x-count"], response.headers["x-yes"]) == ("3", "true")
    assert response.headers.getlist("content-length") == ["2"]
    assert response.headers.getlist("set-cookie") == ["a=1; Secure", "b=2"]
    assert response.headers["content-type"] == "text/plain;charset=UTF-8"


def test_a_base64_body_is_decoded() -> None:
    """The response contains the bytes."""
    response = http_response({"statusCode": "200", "body": "/w==", "isBase64Encoded": True})
    assert response.body == b"\xff"


def test_204_has_no_body() -> None:
    """The handler's body is ignored."""
    response = http_response({"statusCode": 204, "headers": {"content-type": "application/json"}, "body": "{}"})
    assert response.body == b""
    assert "content-length" not in response.headers


@pytest.mark.parametrize(("result", "body"), [({"ok": True}, b'{"ok": true}'), ("text", b"text"), (None, b"null")])
def test_a_result_without_a_status_is_the_body_of_a_200(result: Any, body: bytes) -> None:
    """API Gateway infers the rest."""
    response = http_response(result)
    assert (response.status_code, response.body) == (200, body)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "ok"},
        {"statusCode": None},
        {"statusCode": 99},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
        {1, 2},
    ],
)
def test_an_invalid_result_is_an_error(result: Any) -> None:
    """API Gateway returns 500."""
    with pytest.raises(MalformedResponseError):
        http_response(result)
