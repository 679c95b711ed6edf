"""Compare a request and its answer with docs/openapi.json."""

from __future__ import annotations

import json
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema_rs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCUMENT = Path(__file__).parents[3] / "docs" / "openapi.json"
PROBLEM, JSON = "application/problem+json", "application/json"
_FIRST_ERROR = 400


class Seen(NamedTuple):
    """An answer that occurred; `problem` is empty for others than problems."""

    route: str
    status: int
    problem: str = ""


@cache
def document() -> dict[str, Any]:
    openapi: dict[str, Any] = json.loads(DOCUMENT.read_text("utf-8"))
    return openapi


@cache
def operations() -> dict[str, dict[str, Any]]:
    """Return the operations by route key."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }


def documented() -> set[Seen]:
    """Return every answer that a function can give by the document."""
    return {
        Seen(route, int(status), problem)
        for route, operation in operations().items()
        for status, response in operation["responses"].items()
        for problem in _problems(int(status), response)
    }


def seen(event: Mapping[str, Any], answer: Mapping[str, Any]) -> Seen:
    problem = json.loads(answer["body"])["type"] if _content_type(answer) == PROBLEM else ""
    return Seen(event["routeKey"], int(answer["statusCode"]), problem)


def violations(event: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield what contradicts the document in a call of a function, by its event and its result."""
    route, status = event["routeKey"], answer["statusCode"]
    where = f"{route} {status}"
    response = operations()[route]["responses"].get(str(status))
    if response is None:
        yield f"{where} is not documented"
        return
    if status < _FIRST_ERROR and not _is_codats(route):
        yield from (f"{where}: {each}" for each in _accepted_but_invalid(event))
    yield from (f"{where}: {each}" for each in _undocumented(status, response, answer))


def _is_codats(route: str) -> bool:
    """Return whether Codat calls the route: whatever is signed is accepted, and may be quarantined."""
    return "codatSignature" in operations()[route]["security"][0]


def _accepted_but_invalid(event: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the document excludes in a request that was accepted."""
    operation = operations()[event["routeKey"]]
    parameters = {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    for name, text in (event.get("queryStringParameters") or {}).items():
        if name not in parameters:
            yield f"accepted the query parameter {name}"
            continue
        value = int(text) if parameters[name]["type"] == "integer" else text
        if not _validator(json.dumps(parameters[name])).is_valid(value):
            yield f"accepted a query parameter {name} that is not documented"
    body = b64decode(event["body"]) if event.get("isBase64Encoded") else event.get("body")
    if "requestBody" not in operation:
        if body:
            yield "accepted a body"
        return
    if not body and not operation["requestBody"]["required"]:
        return
    schema = operation["requestBody"]["content"][JSON]["schema"]
    for error in _validator(json.dumps(schema)).iter_errors(json.loads(body or "null")):
        yield f"accepted a body with {error.message} at {_at(error)}"


def _undocumented(status: int, response: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the document lacks in an answer."""
    headers = {name.lower() for name in answer["headers"]} - {"content-type", "cache-control"}
    for header in headers - {name.lower() for name in response.get("headers", ())}:
        yield f"the header {header} is not documented"
    content, content_type = response.get("content", {}), _content_type(answer)
    if not answer["body"]:
        if JSON in content:
            yield "has no body"
        return
    if content_type not in content:
        yield f"the content type {content_type} is not documented"
        return
    body = json.loads(answer["body"])
    if content_type == PROBLEM and body["type"] not in _problems(status, response):
        yield f"the problem {body['type']} is not documented"
        return
    if content_type == PROBLEM and body["status"] != status:
        yield f"the problem says {body['status']}"
    for error in _validator(json.dumps(content[content_type]["schema"])).iter_errors(body):
        yield f"{error.message} at {_at(error)}"


def _problems(status: int, response: Mapping[str, Any]) -> list[str]:
    """Return the types of problems in a documented response, and "" for an answer of another kind."""
    if status < _FIRST_ERROR:
        return [""]
    schema = response["content"].get(PROBLEM, {}).get("schema", {"oneOf": []})
    names = [each["$ref"].rpartition("/")[2] for each in schema.get("oneOf", [schema])]
    return [document()["components"]["schemas"][name]["properties"]["type"]["const"] for name in names]


@cache
def _validator(schema: str) -> Any:
    """Return a validator that also refuses fields that are not documented."""
    whole = json.loads(schema) | {"components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(_closed(whole), validate_formats=True)


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: value if key in {"examples", "example"} else _closed(value) for key, value in schema.items()}
    return {"additionalProperties": False} | closed if isinstance(schema.get("properties"), dict) else closed


def _content_type(answer: Mapping[str, Any]) -> str:
    return str(answer["headers"].get("content-type", ""))


def _at(error: Any) -> str:
    return "/".join(map(str, error.instance_path)) or "the top"
