"""API Gateway on one machine: the routes of template.yaml, answered by the real handlers.

Unlike on AWS, requests to IAM routes need no signature. Those of other websites are rejected.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route as AsgiRoute, compile_path

from local.gateway.events import api_gateway_event
from local.gateway.exchanges import INVITATION_PREFIX, Exchange
from local.gateway.invocation import FunctionError, InvocationTimeoutError, invoke
from local.gateway.reference import reference_routes
from local.gateway.responses import MalformedResponseError, http_response, message
from local.gateway.same_origin import SameOrigin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from local.gateway.invocation import Handler
    from local.template import Function, Route

logger = logging.getLogger("local.gateway")

# Quotas of an HTTP API that can't be raised.
INTEGRATION_TIMEOUT = 30.0
MAX_BODY_BYTES = 10 * 1024 * 1024


class Gateway:
    """The ASGI app that replaces API Gateway and Lambda.

    `handlers` are by the function's logical id. `observers` run on the event loop, so they must be quick.
    """

    def __init__(
        self,
        *,
        routes: Sequence[Route],
        functions: Mapping[str, Function],
        handlers: Mapping[str, Handler],
        observers: Sequence[Callable[[Exchange], object]] = (),
        integration_timeout: float = INTEGRATION_TIMEOUT,
    ) -> None:
        # Starlette writes API Gateway's greedy parameter {name+} as {name:path}.
        self._routes = [(route, compile_path(route.path.replace("+}", ":path}"))[0]) for route in routes]
        self._functions = functions
        self._handlers = handlers
        self._observers = observers
        self._integration_timeout = integration_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        request = Request(scope, receive)
        request_id = str(uuid.uuid4())
        try:
            body = await _read(request)
        except ClientDisconnect:
            return
        matched = self._match(request.method, scope["path"])
        if body is None:
            response = message(413, "Request Entity Too Large")
        elif matched is None:
            response = message(404, "Not Found")
        else:
            event = api_gateway_event(request, body, *matched, request_id)
            response = await self._invoke(matched[0].function, event)
        response.headers["apigw-requestid"] = request_id
        exchange = Exchange(
            method=request.method,
            path=_without_token(scope["path"]),
            headers=dict(request.headers),
            request_body=body or b"",
            status=response.status_code,
            seconds=time.monotonic() - started,
            response_body=bytes(response.body),
        )
        if not exchange.is_background_read:
            for observe in self._observers:
                observe(exchange)
        await response(scope, receive, send)

    def _match(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        for route, pattern in self._routes:
            if route.method in {method, "ANY"} and (match := pattern.fullmatch(path)):
                return route, match.groupdict()
        return None

    async def _invoke(self, name: str, event: dict[str, Any]) -> Response:
        try:
            result = await invoke(self._functions[name], self._handlers[name], event, timeout=self._integration_timeout)
            return http_response(result)
        except InvocationTimeoutError as error:
            logger.error("%s", error)  # noqa: TRY400 - the traceback isn't that of the function's thread
            return message(503, "Service Unavailable")
        except (FunctionError, MalformedResponseError):
            logger.exception("Function failed")
            return message(500, "Internal Server Error")


def application(gateway: ASGIApp, console: ASGIApp) -> Starlette:
    """Return the gateway with the reference and `console` under /_local/, and the root redirected to the console."""
    application = Starlette(
        routes=[
            AsgiRoute("/", lambda _: RedirectResponse("/_local/")),
            AsgiRoute("/_local", lambda _: RedirectResponse("/_local/")),
            *reference_routes(),
            Mount("/_local", app=console),
        ],
        middleware=[Middleware(SameOrigin)],
    )
    # As a mount at "/" it would not get a path with a line break, which API Gateway passes on.
    application.router.default = gateway
    return application


async def _read(request: Request) -> bytes | None:
    """Return the body, or None if it exceeds API Gateway's limit."""
    # Read to the end in any case: a client that is still sending would get a reset instead of the response.
    size = 0
    chunks: list[bytes] = []
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        else:
            chunks.clear()
    return b"".join(chunks) if size <= MAX_BODY_BYTES else None


def _without_token(path: str) -> str:
    """Return the path without an invitation's token, because exchanges are printed. It may match no route."""
    return re.sub(f"^{INVITATION_PREFIX}.+", f"{INVITATION_PREFIX}…", path, flags=re.DOTALL)
