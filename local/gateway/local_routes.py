"""What the gateway answers under /_local/, and no deployed function does: the console, the table, the bus."""

from __future__ import annotations

import base64
import logging
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from local.gateway.invocation import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger("local.gateway")

CONSOLE = Path(__file__).with_name("console.html")


def local_routes(
    *,
    table: Callable[[], list[dict[str, Any]]],
    events: Callable[[], list[dict[str, Any]]],
    reconcile: Callable[[], dict[str, Any]] | None = None,
) -> Starlette:
    """All of them may be slow: they are called on a thread."""

    async def show_console(_: Request) -> Response:
        return FileResponse(CONSOLE, headers={"cache-control": "no-store"})

    async def show_table(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(table))

    async def show_events(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(events))

    async def run_reconcile(_: Request) -> Response:
        if reconcile is None:
            return _problem(501, "Not Implemented", "There is no reconcile function in template.yaml.")
        try:
            return JSONResponse(await run_in_threadpool(reconcile))
        except FunctionError as error:
            logger.exception("Reconcile failed")
            return _problem(502, "Bad Gateway", f"{error}; the log says why.")

    return Starlette(
        routes=[
            Route("/", show_console),
            Route("/table", show_table),
            Route("/events", show_events),
            Route("/reconcile", run_reconcile, methods=["POST"]),
        ]
    )


def _problem(status: int, title: str, detail: str) -> Response:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(problem, status, media_type="application/problem+json")


def table_items(client: DynamoDBClient, table_name: str) -> list[dict[str, Any]]:
    """Every item as plain JSON: numbers as numbers, binary as base64, sets as sorted lists."""
    from boto3.dynamodb.types import TypeDeserializer  # noqa: PLC0415 - boto3 is slow to import

    deserialize = TypeDeserializer().deserialize
    return [
        {name: _plain(deserialize(value)) for name, value in item.items()}
        for page in client.get_paginator("scan").paginate(TableName=table_name, ConsistentRead=True)
        for item in page["Items"]
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, set):
        return sorted(_plain(item) for item in value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if hasattr(value, "value") and isinstance(value.value, bytes):  # boto3's Binary
        return base64.b64encode(value.value).decode("ascii")
    return value
