"""The gateway's events are those that SAM CLI constructs: both get the same bytes."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.gateway.app import Gateway
from local.gateway.server import bind, serving
from local.template import Template
from tests.e2e.artifact.make import ROOT, SAM, make
from tests.servers import free_ports, running_server

NOT_COMPARED = {
    # Unique in each request.
    "requestContext.requestId",
    "requestContext.time",
    "requestContext.timeEpoch",
    # SAM has no caller, and replaces each user agent.
    "requestContext.authorizer",
    "requestContext.http.userAgent",
}


@dataclass(frozen=True)
class Case:
    """A request, and the fields in which the event of API Gateway differs from SAM's."""

    name: str
    target: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    differs: tuple[str, ...] = ()


CREATE = "/customers"
CONNECT = "/customers/bank-of-dave/connections"
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
# API Gateway passes on text types as text; SAM, all types that are not listed as binary.
BODY = ("body", "isBase64Encoded")

CASES = [
    Case("nothing but a path", "/platforms"),
    Case("a query", "/customers?limit=2&cursor=abc"),
    Case("repeated and encoded", "/connections?status=Linked&status=a%2Cb&cursor=x%20y+z%2Bq%3D&caf%C3%A9=%E2%82%AC"),
    Case("values that are empty", "/customers?companyId=&cursor"),
    Case("headers", "/platforms", headers=(("X-Request-Id", "a"), ("User-Agent", "curl/8.5"), ("Accept", "*/*"))),
    Case("repeated headers", "/platforms", headers=(("X-Many", "a"), ("x-many", "b, c"), ("X-Many", "d"))),
    Case("cookies", "/platforms", headers=(("Cookie", "first=1; second=b"),)),
    # SAM parses cookies and formats the result.
    Case("odd cookies", "/platforms", headers=(("Cookie", 'a=1; a=2; quoted="x"; bare'),), differs=("cookies",)),
    Case("without a signature", "/connect/Zp3_-token?utm_source=mail"),
    Case("path parameters", "/customers/bank-of-dave/connections/7f0a"),
    Case("encoded path parameters", "/customers/caf%C3%A9%20a%40b:c/connections/%25"),
    Case("an empty body", CREATE, "POST", (JSON,)),
    Case("no body, no type", f"{CONNECT}/7f0a/unlink", "POST"),
    Case("a deletion", "/customers/bank-of-dave", "DELETE"),
    Case("JSON", CREATE, "POST", (JSON,), '{"customerId": "a", "name": "Café €"}'.encode()),
    Case("JSON with a charset", CONNECT, "POST", (("content-type", "application/json; charset=utf-8"),), b"{}"),
    Case("a change", "/customers/bank-of-dave", "PATCH", (JSON,), b'{"name": "Bank of Mary"}'),
    Case(
        "a webhook", "/webhooks/codat", "POST", (JSON, ("webhook-id", "msg_1"), ("webhook-signature", "v1,a=")), b"{}"
    ),
    Case("text", CREATE, "POST", (("Content-Type", "text/plain"),), b"a line\r\nand another"),
    Case("bytes", CREATE, "POST", (("Content-Type", "application/octet-stream"),), bytes(range(256))),
    Case("a form", CREATE, "POST", (FORM,), b"a=1&b=2", differs=BODY),
    Case("a body without a type", CREATE, "POST", (), b"{}", differs=BODY),
]


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Return the ports of the gateway and of SAM's events, with the template's routes."""
    make(".sam/.synced")
    template = Template.load()
    handlers = dict.fromkeys(template.functions, lambda event, _: {"statusCode": 200, "body": json.dumps(event)})
    gateway = Gateway(routes=template.routes, functions=template.functions, handlers=handlers)
    with serving(gateway, bind(0)) as url:
        own_port = urlsplit(url).port or 0
        [sam_port] = free_ports(1)
        routes = [route.key for route in template.routes]
        module = ["-m", "tests.integration.local.gateway.sam_gateway"]
        with running_server([SAM / "python", *module, str(sam_port), str(own_port), *routes], sam_port, cwd=ROOT):
            yield own_port, sam_port


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_events_equal_sams(ports: tuple[int, int], case: Case) -> None:
    """Only the case's fields differ. Header names are compared in lower case, which API Gateway uses."""
    own, sams = (event(port, case) for port in ports)
    sams["headers"] = {name.lower(): value for name, value in sams["headers"].items()}
    own_fields, sams_fields = dict(fields(own)), dict(fields(sams))
    differing = {
        name
        for name in own_fields.keys() | sams_fields.keys()
        if (name in own_fields, own_fields.get(name)) != (name in sams_fields, sams_fields.get(name))
    }
    assert differing - NOT_COMPARED == set(case.differs), (own, sams)


def event(port: int, case: Case) -> dict[str, Any]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.putrequest(case.method, case.target, skip_host=True, skip_accept_encoding=True)
        for name, value in (("Host", "localhost:3000"), *case.headers):
            connection.putheader(name, value)
        if case.method != "GET":
            connection.putheader("Content-Length", str(len(case.body)))
        connection.endheaders(case.body)
        response = connection.getresponse()
        assert response.status == 200
        result: dict[str, Any] = json.load(response)
        return result


def fields(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each field with its dotted path. The caller is a single field."""
    for name, item in value.items():
        if isinstance(item, dict) and item and name != "authorizer":
            yield from fields(item, f"{path}{name}.")
        else:
            yield f"{path}{name}", item
