"""Routes under /_local/, which no deployed API has: the web console, table, events, reconcile, the simulator."""

from __future__ import annotations

import base64
import json
import logging
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from local.gateway.invocation import FunctionError
from local.gateway.responses import problem

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from local.gateway.activity import Activity
    from local.running import Stack

logger = logging.getLogger("local.gateway")

_FILES = Path(__file__).parents[1] / "console"
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def console_routes(stack: Stack, activity: Activity) -> Starlette:
    """Return the console's app. Routes that are no coroutines run in threads, so they may block."""

    def run_reconcile(_: Request) -> Response:
        try:
            counts = stack.reconcile.run()
        except FunctionError as error:
            logger.exception("Reconcile failed")
            return problem(HTTPStatus.BAD_GATEWAY, f"{error}; see the log.")
        activity.add("console", "reconcile", response=counts)
        return JSONResponse(counts)

    async def stream(request: Request) -> Response:
        # The parameter is for a page that opens a new stream instead of letting the browser reconnect.
        last_id = request.headers.get("last-event-id") or request.query_params.get("after", "")
        # The page offers what exists.
        routes = [route.key for route in stack.template.routes]
        content = activity.stream(last_id, isSimulated=stack.codat is not None, routes=routes)
        return StreamingResponse(content, media_type="text/event-stream")

    controls = []
    if stack.codat:
        from codat_simulator.control import Control  # noqa: PLC0415 - a stack with CODAT_BASE_URL needs no simulator

        controls = [Mount("/codat", app=_Recorded(Control(stack.codat).app(), activity))]
    return Starlette(
        routes=[
            Route("/table", lambda _: JSONResponse(table_items(stack.dynamodb, stack.table_name))),
            Route("/events", lambda _: JSONResponse(stack.events())),
            Route("/stream", stream),
            Route("/reconcile", run_reconcile, methods=["POST"]),
            *controls,
            Mount("/", app=StaticFiles(directory=_FILES, html=True)),
        ],
        middleware=[Middleware(_WithHeaders)],
    )


class _Recorded:
    """Add each change of the simulator to the activity, so that every open page sees it."""

    def __init__(self, app: ASGIApp, activity: Activity) -> None:
        self._app, self._activity = app, activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def recording(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start" and scope["method"] != "GET":
                path = scope["path"].removeprefix(scope["root_path"])
                self._activity.add("console", f"{scope['method']} {path}", status=message["status"])

        await self._app(scope, receive, recording)


class _WithHeaders:
    """Add `_HEADERS` to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


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
