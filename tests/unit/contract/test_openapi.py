"""docs/openapi.json and its pages: complete, valid, and as generated."""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel

from contract import __main__ as command, fields, models, openapi, problems, schemas
from contract.operations import OPERATIONS, PUBLIC_PREFIX
from local.template import Template

DOCUMENT = openapi.document()
ROOT = openapi.ROOT


def properties() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, each in schema.get("properties", {}).items():
            yield f"{name}.{field}", each


def test_the_committed_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    status = command.main(["--check"])
    assert (status, capsys.readouterr().err) == (0, "")


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    validate(DOCUMENT)


def test_every_field_has_a_description_and_an_example() -> None:
    """A field with a single value needs no example. An item with a schema of its own has examples there."""
    assert [name for name, schema in properties() if not schema["description"]] == []
    named = {"examples", "const", "enum"}
    assert [
        name for name, each in properties() if not named & each.keys() and "$ref" not in each.get("items", {})
    ] == []


def test_nullable_fields_say_so() -> None:
    nullable = {name for name, schema in properties() if "null" in str(schema.get("type")) or "anyOf" in schema}
    assert {"Connection.error", "Connection.lastSync", "TimelineEntry.actorId", "CustomerList.cursor"} <= nullable
    assert not {"Connection.asOf", "Connection.status", "Platform.needsConnector"} & nullable


def test_every_route_has_its_success_its_problems_and_api_gateways_answers() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            statuses = set(operation["responses"])
            assert statuses & {"200", "201", "204"}, path
            assert {"500", "503"} <= statuses
            is_webhook = operation["security"] == [{"codatSignature": []}]
            assert is_webhook or (operation["security"] == [{"sigv4": []}] and "403" in statuses)
            assert ("requestBody" in operation) == (
                OPERATIONS[f"{method.upper()} {path}"].body is not None or is_webhook
            )


def test_links_lead_to_pages() -> None:
    """In descriptions, and to documentation of problems and events."""
    text = str(DOCUMENT)
    links = set(re.findall(r"(?:\]\(|'url': ')((?:problems|event-types)/[\w.-]+)", text))
    assert {link.partition("/")[0] for link in links} == {"problems", "event-types"}
    assert {link for link in links if not (ROOT / "docs" / link).exists()} == set()
    assert len(links) == len(problems.DOCUMENTED) + len(models.CHANGE_EVENTS)


def test_every_problem_that_a_caller_can_get_is_documented() -> None:
    assert problems.undocumented() == set()


def test_a_route_calls_codat_only_if_its_function_can() -> None:
    template = Template.load()
    functions = template.functions
    for route in openapi._api_routes(template):
        folder = functions[route.function].handler.split(".")[1]
        source = (ROOT / "functions" / folder / "app.py").read_text()
        operation = OPERATIONS[route.key]
        if operation.calls_codat and not operation.is_webhook:
            assert "from shared.bootstrap import codat" in source, route.key


def template_with(route: str) -> Template:
    """Return template.yaml with one more route."""
    method, path = route.split()
    template = Template.load()
    resources = deepcopy(dict(template._resources))
    event = {"Type": "HttpApi", "Properties": {"ApiId": {"Ref": "Api"}, "Method": method, "Path": path}}
    resources["ReadCustomersFunction"]["Properties"]["Events"]["More"] = event
    template._resources = resources
    return template


def test_a_route_without_documentation_is_an_error_that_says_where() -> None:
    with pytest.raises(openapi.UndocumentedRoute, match=r"GET /more. Add them to OPERATIONS in contract/operations.py"):
        openapi.document(template_with("GET /more"))


def test_a_page_for_people_is_no_part_of_the_api() -> None:
    assert openapi.document(template_with(f"GET {PUBLIC_PREFIX}{{token}}")) == DOCUMENT


def test_a_documented_route_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi, "OPERATIONS", {**OPERATIONS, "GET /gone": OPERATIONS["GET /platforms"]})
    with pytest.raises(openapi.UndocumentedRoute, match="documents routes that don't exist: GET /gone"):
        openapi.document()


def test_a_field_without_description_is_an_error_that_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    class More(BaseModel):
        unknown: str

    monkeypatch.setitem(models.CHANGE_EVENTS, "customer.more", More)
    with pytest.raises(fields.UndocumentedField, match=r"field unknown of More .* FIELDS in contract/fields.py"):
        schemas.event_schema("customer.more")


def test_a_change_makes_the_check_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(fields.FIELDS, "asOf", ("Another text.", "2026-11-26T21:22:41.5950130Z"))
    assert command.main(["--check"]) == 1
    assert "docs/openapi.json is not up to date: run `make openapi`." in capsys.readouterr().err
