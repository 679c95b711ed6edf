"""JSON Schemas of the models, with a description and an example for each field."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from contract import models
from contract.fields import field
from contract.operations import OPERATIONS
from contract.problems import DOCUMENTED, Documented

Schema = dict[str, Any]

_OTHER_BODIES = [models.FieldError, models.PlatformName, models.Message]
_DESCRIPTIONS = {
    "Status": "A connection's status: `PendingAuth` before the first authorisation, `Linked`, `Unlinked` by the app, "
    "`Deauthorized` by the platform, `Deleted` for good.",
    "NextAction": "What the app does next: `authorize` and `install-connector` need the customer at a `linkUrl`, "
    "`reconnect` needs a new link, `none` needs nothing.",
    "NewCustomer": "A customer to create, or to adopt with `companyId`.",
    "ChangedCustomer": "The fields to change; the others stay as they are.",
    "NewConnection": "The platform to connect.",
    "NewInvitation": "What the person connects, and until when. May be left out.",
}


def components() -> dict[str, Schema]:
    """Return the schemas of all bodies, by name. Raises UndocumentedField."""
    bodies = {operation.body for operation in OPERATIONS.values() if operation.body}
    answers = {answer.model for operation in OPERATIONS.values() for answer in operation.answers.values()} - {None}
    given: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in bodies]
    given += [(model, "serialization") for model in (*answers, *_OTHER_BODIES, *models.CHANGE_EVENTS.values())]  # type: ignore[misc]
    _, document = models_json_schema(given, ref_template="#/components/schemas/{model}")
    schemas = document["$defs"] | {problem_name(each): _problem(each) for each in DOCUMENTED.values()}
    parents = _parents(model for model, _ in given)
    return {name: _documented(schema, parents.get(name, [name])) for name, schema in sorted(schemas.items())}


def event_schema(event_type: str) -> Schema:
    """Return the schema of a change event's detail, as a document of its own."""
    model = models.CHANGE_EVENTS[event_type]
    schema = model.model_json_schema(mode="serialization")
    parents = _parents([model])
    definitions = {name: _documented(each, parents.get(name, [name])) for name, each in schema.pop("$defs", {}).items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": event_type,
        **_documented(schema, parents[model.__name__]),
        **({"$defs": definitions} if definitions else {}),
    }


def problem_name(problem: Documented) -> str:
    return "".join(word.capitalize() for word in problem.name.split("-")) + "Problem"


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _problem(problem: Documented) -> Schema:
    example = problem.example_document()
    statuses = problem.statuses
    properties: dict[str, Schema] = {
        "type": {"type": "string", "const": problem.name},
        "title": {"type": "string", "examples": [example["title"]]},
        "status": {"type": "integer", **({"enum": statuses} if len(statuses) > 1 else {"const": statuses[0]})},
        "detail": {"type": "string", "examples": [example["detail"]]},
        "requestId": {"type": "string"},
    }
    required = list(properties)
    for name, item in (("errors", models.FieldError), ("platforms", models.PlatformName)):
        if name in example:
            properties[name] = {"type": "array", "items": reference(item.__name__), "examples": [example[name]]}
            required.append(name)
    if "correlationId" in example:
        properties["correlationId"] = {"type": "string"}
    return {
        "type": "object",
        "description": problem.when,
        "required": required,
        "properties": properties,
        "examples": [example],
        "externalDocs": {"url": f"problems/{problem.name}.md"},
    }


def _parents(given: Iterable[type[BaseModel]]) -> dict[str, list[str]]:
    """Return the names of each model and its bases; a problem has the base Problem."""
    bases = {model.__name__: [base.__name__ for base in model.__mro__] for model in given}
    return bases | {problem_name(each): [problem_name(each), "Problem"] for each in DOCUMENTED.values()}


def _documented(schema: Schema, names: list[str]) -> Schema:
    """Return a model's schema without titles and defaults, with a description and an example for each field."""
    schema = _plain(schema)
    if names[0] in _DESCRIPTIONS:
        schema["description"] = _DESCRIPTIONS[names[0]]
    for name, each in schema.get("properties", {}).items():
        each["description"], example = field(names, name)
        has_example = example is not None or _is_nullable(each)
        if has_example and "examples" not in each and "const" not in each:
            each["examples"] = [example]
    return schema


def _plain(schema: Schema) -> Schema:
    """Remove pydantic's titles and defaults, and write a nullable type as one schema."""
    plain = {key: value for key, value in schema.items() if key not in {"title", "default"}}
    if "properties" in plain:
        plain["properties"] = {name: _plain(each) for name, each in plain["properties"].items()}
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(plain.get(key), Mapping):
            plain[key] = _plain(plain[key])
    if "anyOf" in plain:
        choices = [_plain(each) for each in plain.pop("anyOf")]
        others = [each for each in choices if each != {"type": "null"}]
        if len(others) == 1 and isinstance(others[0].get("type"), str):
            plain |= others[0] | {"type": [others[0]["type"], "null"]}
        else:
            plain["anyOf"] = choices
    return plain


def _is_nullable(schema: Schema) -> bool:
    return (
        schema.get("type") == "null" or "null" in schema.get("type", ()) or {"type": "null"} in schema.get("anyOf", ())
    )
