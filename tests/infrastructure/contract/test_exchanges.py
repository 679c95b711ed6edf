"""The comparison finds each kind of contradiction, and accepts what is documented."""

import json
from typing import Any

import pytest

from tests.infrastructure.contract.exchanges import Seen, documented, violations
from tests.infrastructure.contract.plugin import never_seen

PLATFORM = {
    "platformKey": "qhyg",
    "platformName": "QuickBooks Online",
    "sourceType": "Accounting",
    "logoUrl": "",
    "needsConnector": False,
    "beta": False,
}
PROBLEM = {"type": "invalid-query", "title": "T", "status": 400, "detail": "D", "requestId": "R", "errors": []}


def call(route: str = "GET /platforms", **parts: Any) -> dict[str, Any]:
    return {"routeKey": route, **parts}


def answer(status: int, body: Any, headers: dict[str, str] | None = None, kind: str = "json") -> dict[str, Any]:
    all_headers = {"content-type": f"application/{kind}", "cache-control": "no-store", **(headers or {})}
    return {"statusCode": status, "body": "" if body is None else json.dumps(body), "headers": all_headers}


PLATFORMS = answer(200, {"platforms": [PLATFORM]})


@pytest.mark.parametrize(
    ("event", "result"),
    [
        (call(), PLATFORMS),
        (call(queryStringParameters={"nope": "1"}), answer(400, PROBLEM, kind="problem+json")),
        (
            call("GET /customers", queryStringParameters={"limit": "007"}),
            answer(200, {"customers": [], "cursor": None}),
        ),
        (call("DELETE /customers/{customerId}"), answer(204, None)),
        (call("POST /webhooks/codat", body="not json"), answer(204, None)),
    ],
)
def test_what_is_documented_is_accepted(event: dict[str, Any], result: dict[str, Any]) -> None:
    assert list(violations(event, result)) == []


CUSTOMERS = answer(200, {"customers": [], "cursor": None})
LINK = answer(200, {"linkUrl": "https://link.codat.io", "issuedAt": "2026-11-26T21:22:28.3457510Z"})


@pytest.mark.parametrize(
    ("event", "result", "found"),
    [
        (call(), answer(202, {}), "GET /platforms 202 is not documented"),
        (call(), answer(200, {"platforms": [], "more": 1}), "Additional properties are not allowed"),
        (call(), answer(200, {"platforms": [{**PLATFORM, "beta": None}]}), 'null is not of type "boolean"'),
        (call(), answer(200, {}), '"platforms" is a required property'),
        (call(), answer(200, None), "has no body"),
        (call(), answer(200, {"platforms": []}, kind="xml"), "the content type application/xml is not documented"),
        (call(), answer(200, {"platforms": []}, {"etag": "1"}), "the header etag is not documented"),
        (call(), answer(400, {**PROBLEM, "type": "x"}, kind="problem+json"), "the problem x is not documented"),
        (call(), answer(400, {**PROBLEM, "status": 404}, kind="problem+json"), "the problem says 404"),
        (call(queryStringParameters={"nope": "1"}), PLATFORMS, "accepted the query parameter nope"),
        (call("GET /customers", queryStringParameters={"limit": "0"}), CUSTOMERS, "accepted a query parameter limit"),
        (call(body="{}"), PLATFORMS, "accepted a body"),
        (call("POST /customers/{customerId}/connections", body="{}"), answer(201, {}), '"platformKey" is a required'),
        (call("POST /customers/{customerId}/link"), answer(200, {"linkUrl": "x", "issuedAt": "now"}), "does not match"),
    ],
)
def test_a_contradiction_is_found(event: dict[str, Any], result: dict[str, Any], found: str) -> None:
    assert any(found in each for each in violations(event, result)), list(violations(event, result))


def test_a_correct_time_and_url_are_accepted() -> None:
    assert list(violations(call("POST /customers/{customerId}/link"), LINK)) == []


def test_answers_that_no_test_got_are_found() -> None:
    """A problem of the route has to occur on it, a common one on any route."""
    everything = documented()
    assert never_seen(everything) == []
    missing = everything - {Seen("GET /platforms", 200), Seen("GET /platforms", 500, "internal-error")}
    assert never_seen(missing) == ["GET /platforms never answered 200"]
    assert "no route answered 500 internal-error" in never_seen({each for each in everything if each.status != 500})
