"""The pages of problems and change events, and the tables of docs/api.md."""

import json
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from contract import models, problems
from contract.operations import OPERATIONS, Operation
from contract.schemas import Schema, components

_TABLE = re.compile(r"(<!-- table (\w+): `make openapi` writes it -->\n).*?(<!-- end -->)", re.DOTALL)
_OF_EVERY_ROUTE = frozenset(problem for operation in OPERATIONS.values() for problem in operation.common_problems)

_WHEN = {
    "customer.created": "After `POST /customers`, by creation or adoption, and after reconcile adopted an orphaned "
    "company.",
    "customer.updated": "After `PATCH /customers/{customerId}`, or after a name changed at Codat.",
    "customer.deleted": "After `DELETE /customers/{customerId}`, or after the company was deleted at Codat.",
    "connection.created": "After `POST …/connections`, after the customer picked a platform on a link's page, or "
    "after reconcile found a connection.",
    "connection.updated": "After each change that an app can see: the customer authorised, the platform revoked, the "
    "app unlinked, Codat read data.",
    "connection.deleted": "After `DELETE …/connections/{connectionId}`, after its company was deleted, or after it was "
    "deleted at Codat.",
    "connection.abandoned": "When reconcile finds a link that was not used for `AbandonedAfterDays` (7 by default).",
}
_TO_DO = {
    "customer.created": "Nothing, if your app created it. After an adoption, read the customer for its name.",
    "customer.updated": "Read the customer: the event contains no personal data.",
    "customer.deleted": "Remove the customer and its connections from your own data. Keep the `version`.",
    "connection.created": "Store it. `nextAction` says what the customer does next.",
    "connection.updated": "Store it. Start to use the data when `initialReadAt` is set. If `nextAction` is "
    "`reconnect`, ask the customer to reconnect, with a link from `POST …/link`.",
    "connection.deleted": "Remove it from your own data. Keep the `version`: the id is not used again.",
    "connection.abandoned": "Remind the customer, with a new link from `POST …/link`.",
}


def problem_page(problem: problems.Documented) -> str:
    statuses = " or ".join(f"{status} {HTTPStatus(status).phrase}" for status in problem.statuses)
    routes = [key for key, operation in OPERATIONS.items() if problem.name in operation.problems]
    anywhere = problem.name in _OF_EVERY_ROUTE
    return _page(
        f"# {problem.name}",
        f"{statuses}. {problem.when}",
        "## What to do",
        _relative(problem.to_do),
        "## Example",
        _json(problem.example_document()),
        *_retry_after(problem),
        "## Routes",
        _common_routes(problem.name) if anywhere else "\n".join(f"- `{route}`" for route in routes),
        "All problems: [the API](../api.md#problems).",
    )


def _retry_after(problem: problems.Documented) -> list[str]:
    if problem.may_have_retry_after:
        return ["With the header `Retry-After`, in seconds, if Codat sent one."]
    return ["With the header `Retry-After`, in seconds."] if problem.has_retry_after else []


def event_page(event_type: str) -> str:
    model = models.CHANGE_EVENTS[event_type]
    schema = components()[model.__name__]
    return _page(
        f"# {event_type}",
        models.summary(model),
        _WHEN[event_type],
        "## What to do",
        f"{_TO_DO[event_type]} Ignore the event if its `version` is not above the stored one.",
        "## Detail",
        _table(("field", "type", "meaning"), _fields(schema)),
        f"[JSON Schema](../events/{event_type}.json) · [how events arrive](../api.md#change-events)",
    )


def with_tables(text: str) -> str:
    """Return the text of docs/api.md with its tables rewritten."""
    tables = {"routes": _routes, "fields": _all_fields, "problems": _problems, "events": _events}
    return _TABLE.sub(lambda match: f"{match[1]}\n{tables[match[2]]()}\n\n{match[3]}", text)


def _routes() -> str:
    return _table(
        ("route", "does", "answers"),
        ((f"`{key}`", _reads(operation), _statuses(operation)) for key, operation in OPERATIONS.items()),
    )


def _reads(operation: Operation) -> str:
    """Return what the route does, with its body and its query parameters."""
    read = [f"`?{name}=`" for name in operation.query]
    if operation.body:
        fields = operation.body.model_fields.items()
        names = [f"{field.alias}{'' if field.is_required() else '?'}" for _, field in fields]
        read = [f"`{{{', '.join(names)}}}`"]
    return f"{operation.summary}: {', '.join(read)}" if read else operation.summary


def _statuses(operation: Operation) -> str:
    answers = list(map(str, operation.answers))
    own = [f"[{name}](problems/{name}.md)" for name in operation.problems]
    return ", ".join([*answers, *own])


def _all_fields() -> str:
    schemas = components()
    listed = (models.Customer, models.Connection, models.Invitation, models.Platform, models.TimelineEntry)
    return "\n\n".join(
        f"### {_words(model.__name__)}\n\n{_table(('field', 'type', 'meaning'), _fields(schemas[model.__name__]))}"
        for model in listed
    )


def _fields(schema: Schema) -> Iterator[tuple[str, ...]]:
    for name, each in schema["properties"].items():
        yield f"`{name}`", _type(each), each["description"]


def _type(schema: Schema) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        return _words(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = ["time" if each == "string" and schema.get("format") == "date-time" else each for each in types]
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    return " or ".join(words)


def _problems() -> str:
    return _table(
        ("status", "`type`", "what to do"),
        (
            (", ".join(map(str, problem.statuses)), f"[`{name}`](problems/{name}.md)", problem.to_do)
            for name, problem in problems.DOCUMENTED.items()
        ),
    )


def _events() -> str:
    return _table(
        ("`detail-type`", "meaning", "schema"),
        (
            (
                f"[`{event_type}`](event-types/{event_type}.md)",
                models.summary(model),
                f"[JSON Schema](events/{event_type}.json)",
            )
            for event_type, model in models.CHANGE_EVENTS.items()
        ),
    )


def _common_routes(name: str) -> str:
    routes = [key for key, operation in OPERATIONS.items() if name in operation.common_problems]
    others = [f"`{key}`" for key in OPERATIONS if key not in routes]
    if len(others) <= 1:
        return " ".join(["Every route", *(["except", *others] if others else [])]) + "."
    return "\n".join(f"- `{route}`" for route in routes)


def _relative(text: str) -> str:
    """Return text for a page in a folder of docs/."""
    return re.sub(r"\]\((?=[a-z])", "](../", text)


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower().capitalize()


def _json(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _page(*paragraphs: str) -> str:
    return "\n\n".join(paragraphs) + "\n"
