"""Routes under /_local/, which no deployed API has: the web console, the table, the events, reconcile."""

from __future__ import annotations

import base64
import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer
from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from local.gateway.invocation import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger("local.gateway")

_PAGE = Path(__file__).with_name("console.html")


def console_routes(
    *,
    table: Callable[[], list[dict[str, Any]]],
    events: Callable[[], list[dict[str, Any]]],
    reconcile: Callable[[], dict[str, Any]],
) -> Starlette:
    """Starlette runs each route in a thread."""

    def run_reconcile(_: Request) -> Response:
        try:
            return JSONResponse(reconcile())
        except FunctionError as error:
            logger.exception("Reconcile failed")
            problem = {"type": "about:blank", "title": "Bad Gateway", "status": 502, "detail": f"{error}; see the log."}
            return JSONResponse(problem, 502, media_type="application/problem+json")

    return Starlette(
        routes=[
            Route("/", lambda _: FileResponse(_PAGE, headers={"cache-control": "no-store"})),
            Route("/table", lambda _: JSONResponse(table())),
            Route("/events", lambda _: JSONResponse(events())),
            Route("/reconcile", run_reconcile, methods=["POST"]),
        ]
    )


def table_items(client: DynamoDBClient, table_name: str) -> list[dict[str, Any]]:
    """Return every item as JSON: binary as base64, sets as sorted lists."""
    deserialize = TypeDeserializer().deserialize
    items = [
        {name: deserialize(value) for name, value in item.items()}
        for page in client.get_paginator("scan").paginate(TableName=table_name, ConsistentRead=True)
        for item in page["Items"]
    ]
    plain: list[dict[str, Any]] = json.loads(json.dumps(items, default=_to_json))
    return plain


def _to_json(value: Any) -> Any:
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return base64.b64encode(value.value).decode("ascii")  # boto3's Binary
