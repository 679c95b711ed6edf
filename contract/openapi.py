"""The OpenAPI 3.1 document."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract import models, problems
from contract.fields import CONNECTION
from contract.operations import OPERATIONS, PUBLIC_PREFIX, Operation
from contract.schemas import components, problem_name, reference
from local.template import Route, Template
from shared.domain.connections import Status
from shared.http.query import DEFAULT_LIMIT, MAX_LIMIT

ROOT = Path(__file__).resolve().parent.parent

Object = dict[str, Any]


class UndocumentedRoute(Exception):
    """A route of template.yaml has no entry in `OPERATIONS`, or an entry has no route."""


QUERY: Mapping[str, Object] = {
    "limit": {
        "description": "The highest number of entries in the page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "example": 20,
    },
    "cursor": {
        "description": "The `cursor` of the page before, with the same other parameters. Empty for the first page.",
        "schema": {"type": "string"},
    },
    "companyId": {
        "description": "Codat's id of a company, alone: can't be combined with `cursor`.",
        "schema": {"type": "string"},
    },
    "status": {
        "description": "The status of the connections. Deleted ones are not listed.",
        "schema": {"type": "string", "enum": [status.value for status in Status if status is not Status.DELETED]},
    },
    "attention": {
        "description": "The connections that need a person, instead of those with a `status`.",
        "schema": {"type": "string", "const": "true"},
    },
}
_PATH: Mapping[str, Object] = {
    "customerId": {"description": "Your own id of the customer.", "example": "acme"},
    "connectionId": {"description": "Codat's id of the connection.", "example": CONNECTION},
    "invitationId": {"description": "The id of the invitation.", "example": "9e107d9d-372b-4ef3-a9a2-2f8f3a7b4c1d"},
}
_HEADERS: Mapping[str, Object] = {
    "Location": {
        "description": "The path of what exists now.",
        "schema": {"type": "string"},
        "example": "/customers/acme",
    },
    "Retry-After": {
        "description": "Seconds after which the same call can succeed.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 6,
    },
}
_GATEWAY = {
    403: "API Gateway: the request is not signed, or its role may not invoke the route.",
    413: "API Gateway: the body has over 10 MB.",
    429: "API Gateway: more than `RequestsPerSecond` requests to this route. Without `Retry-After`.",
    500: "API Gateway: the function crashed.",
    503: "API Gateway: the function did not answer in time.",
}
"""Answers of API Gateway itself to a call of an existing route."""

_DESCRIPTION = """\
Creates an app's customers as companies in Codat, connects and unlinks their accounting platforms, and keeps the stored
state current.

Requests are signed with AWS Signature Version 4, service `execute-api`. All calls but `createInvitation` are
idempotent. Unknown fields and query parameters are refused. Clients ignore fields that they don't know.

Times are UTC with seven decimals, so they sort as text. A problem's `type` is stable, and `docs/problems/` has a page
for each."""


def document(template: Template | None = None) -> Object:
    """Return the document. Raises UndocumentedRoute, UndocumentedField."""
    routes = _api_routes(template or Template.load())
    paths: dict[str, Object] = {}
    for route in sorted(routes, key=lambda route: list(OPERATIONS).index(route.key)):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, OPERATIONS[route.key])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": project["name"],
            "version": project["version"],
            "summary": "Customers, their Codat companies and accounting connections",
            "description": _DESCRIPTION,
            "license": {"name": project["license"], "identifier": project["license"]},
        },
        "servers": [
            {
                "url": "https://{api}.execute-api.{region}.amazonaws.com",
                "description": "The stack's output `ApiUrl`.",
                "variables": {"api": {"default": "a1b2c3d4e5"}, "region": {"default": "eu-west-1"}},
            },
            {"url": "http://127.0.0.1:3000", "description": "`make run`"},
        ],
        "tags": [
            {"name": "Customers", "description": "Your customers, each with one company at Codat."},
            {"name": "Connections", "description": "Connections to accounting platforms, links and tokens."},
            {
                "name": "Invitations",
                "description": "Pages on which somebody who is not in the app connects a platform.",
            },
            {"name": "Platforms", "description": "What a customer can connect."},
            {"name": "Codat's webhooks", "description": "For Codat, not for apps."},
            {"name": "Change events", "description": "What your app receives at its webhook, or from the event bus."},
        ],
        "paths": paths,
        "webhooks": {event_type: {"post": _webhook(event_type)} for event_type in models.CHANGE_EVENTS},
        "components": {
            "schemas": components(),
            "headers": dict(_HEADERS),
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                    "description": "AWS Signature Version 4, service `execute-api`. `make run` needs no signature.",
                },
                "codatSignature": {
                    "type": "apiKey",
                    "name": "webhook-signature",
                    "in": "header",
                    "description": "A Standard Webhooks signature, with the headers webhook-id and webhook-timestamp.",
                },
                "appWebhookKey": {
                    "type": "apiKey",
                    "name": "x-api-key",
                    "in": "header",
                    "description": "The key in the secret `AppWebhookKeyArn`, with which EventBridge calls the app.",
                },
            },
        },
    }


def _api_routes(template: Template) -> list[Route]:
    routes = [route for route in template.routes if not route.path.startswith(PUBLIC_PREFIX)]
    keys = {route.key for route in routes}
    if missing := sorted(keys - OPERATIONS.keys()):
        raise UndocumentedRoute(
            f"template.yaml has routes that are not documented: {', '.join(missing)}. "
            "Add them to OPERATIONS in contract/operations.py, then run `make openapi`."
        )
    if gone := sorted(OPERATIONS.keys() - keys):
        raise UndocumentedRoute(f"contract/operations.py documents routes that don't exist: {', '.join(gone)}.")
    return routes


def _operation(route: Route, operation: Operation) -> Object:
    parameters = [_path_parameter(name) for name in re.findall(r"\{(\w+)\}", route.path)]
    parameters += [{"name": name, "in": "query", "required": False, **QUERY[name]} for name in operation.query]
    return {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"description": operation.description} if operation.description else {}),
        "security": [{"sigv4": []} if route.iam else {"codatSignature": []}],
        **({"parameters": parameters} if parameters else {}),
        **_request_body(operation),
        "responses": dict(sorted({**_responses(operation), **_problem_responses(operation, iam=route.iam)}.items())),
    }


def _path_parameter(name: str) -> Object:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}, **_PATH[name]}


def _request_body(operation: Operation) -> Object:
    if operation.is_webhook:
        # A signed body that can't be parsed is accepted and quarantined.
        content: Object = {"schema": {"description": "An event of Codat, or anything else that Codat has signed."}}
    elif operation.body:
        content = {"schema": reference(operation.body.__name__), "example": dict(operation.example)}
    else:
        return {}
    return {"requestBody": {"required": operation.is_body_required, "content": {"application/json": content}}}


def _responses(operation: Operation) -> dict[str, Object]:
    return {
        str(status): {
            "description": answer.summary,
            **({"headers": {"Location": {"$ref": "#/components/headers/Location"}}} if answer.has_location else {}),
            **({"content": {"application/json": {"schema": reference(answer.model.__name__)}}} if answer.model else {}),
        }
        for status, answer in operation.answers.items()
    }


def _problem_responses(operation: Operation, *, iam: bool) -> dict[str, Object]:
    documented = problems.statuses_of(operation.all_problems)
    gateway = {status: text for status, text in _GATEWAY.items() if iam or status != 403}  # noqa: PLR2004
    return {
        str(status): _problem_response(documented.get(status, []), gateway.get(status))
        for status in sorted({*documented, *gateway})
    }


def _problem_response(kinds: list[problems.Documented], gateway: str | None) -> Object:
    names = [", ".join(f"[`{kind.name}`](problems/{kind.name}.md)" for kind in kinds)] if kinds else []
    content: Object = {}
    if kinds:
        references = [reference(problem_name(kind)) for kind in kinds]
        content["application/problem+json"] = {"schema": _one_of(references)}
    if gateway:
        content["application/json"] = {"schema": reference(models.Message.__name__)}
    has_retry_after = any(kind.has_retry_after for kind in kinds)
    return {
        "description": "\n\n".join([*names, *([gateway] if gateway else [])]),
        **({"headers": {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}} if has_retry_after else {}),
        "content": content,
    }


def _one_of(schemas: list[Object]) -> Object:
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _webhook(event_type: str) -> Object:
    model = models.CHANGE_EVENTS[event_type]
    return {
        "operationId": "on" + model.__name__,
        "tags": ["Change events"],
        "summary": models.summary(model),
        "description": "Sent at least once and in any order. Ignore an event whose `version` is not above the stored "
        "one of the same `connectionId`, or of the `customerId` if there is no `connectionId`.",
        "externalDocs": {"url": f"event-types/{event_type}.md"},
        "security": [{"appWebhookKey": []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": envelope(event_type, reference(model.__name__))}},
        },
        "responses": {
            "2XX": {"description": "The app has stored it."},
            "401": {"description": "The key is wrong. EventBridge retries for 24 hours, as after 407, 409 and 429."},
            "4XX": {"description": "EventBridge sends the event to the dead-letter queue."},
            "5XX": {"description": "EventBridge retries for 24 hours."},
        },
    }


def envelope(event_type: str, detail: Object) -> Object:
    """Return the schema of an event as EventBridge delivers it."""
    properties: dict[str, Object] = {
        "version": {"type": "string", "const": "0", "description": "The version of EventBridge's format."},
        "id": {
            "type": "string",
            "description": "EventBridge's id of the event. Duplicates may have different ids: compare `eventId`.",
            "examples": ["0c6c89d8-468f-434a-8af8-521a8ce187c5"],
        },
        "detail-type": {"type": "string", "const": event_type, "description": "The type of the event."},
        "source": {"type": "string", "const": "codat.customers", "description": "This service."},
        "account": {"type": "string", "description": "The AWS account of the stack.", "examples": ["123456789012"]},
        "time": {
            "type": "string",
            "format": "date-time",
            "description": "When the event was published, in whole seconds.",
            "examples": ["2026-11-26T21:22:41Z"],
        },
        "region": {"type": "string", "description": "The region of the stack.", "examples": ["eu-west-1"]},
        "resources": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Empty: EventBridge's field for resources of AWS.",
            "examples": [[]],
        },
        "detail": {**detail, "description": "What changed, with the state after it."},
    }
    return {"type": "object", "required": list(properties), "properties": properties}
