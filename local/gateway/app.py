"""API Gateway and Lambda on one machine: requests in, the real handlers' answers out.

Routes come from template.yaml. Unlike on AWS, callers of IAM routes needn't sign.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route as AsgiRoute

from local.gateway.events import HttpRequest, api_gateway_event
from local.gateway.invocation import FunctionError, InvocationTimeoutError, invoke
from local.gateway.responses import MalformedResponseError, http_response, message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from local.gateway.invocation import Handler
    from local.template import Function, Route

logger = logging.getLogger("local.gateway")

# Quotas of an HTTP API that can't be raised.
INTEGRATION_TIMEOUT = 30.0
MAX_BODY_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was answered, for whoever shows it. Bodies hold link URLs: show, never store."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    request_body: bytes
    function: str | None
    status: int
    response_body: bytes
    seconds: float
    request_id: str


class Gateway:
    """The ASGI app that stands for API Gateway, with Lambda behind it.

    `handlers` are by the function's logical id. `on_exchange` is called on the event loop: it must be quick.
    """

    def __init__(
        self,
        *,
        routes: Sequence[Route],
        functions: Mapping[str, Function],
        handlers: Mapping[str, Handler],
        on_exchange: Callable[[Exchange], None] | None = None,
        integration_timeout: float = INTEGRATION_TIMEOUT,
    ) -> None:
        self._routes = [(route, _pattern(route.path)) for route in routes]
        self._functions = functions
        self._handlers = handlers
        self._on_exchange = on_exchange
        self._integration_timeout = integration_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        asgi_request = Request(scope, receive)
        request_id = str(uuid.uuid4())
        try:
            body = await _read(asgi_request)
        except ClientDisconnect:
            return
        matched = self._match(scope["method"], scope["path"])
        if body is None:
            response = message(413, "Request Entity Too Large")
        elif matched is None:
            response = message(404, "Not Found")
        else:
            event = api_gateway_event(_http_request(asgi_request, body), *matched, request_id)
            response = await self._invoke(matched[0].function, event)
        response.headers["apigw-requestid"] = request_id
        if self._on_exchange:
            self._on_exchange(
                Exchange(
                    method=scope["method"],
                    path=scope["path"],
                    query_string=scope["query_string"].decode("latin-1"),
                    headers=dict(asgi_request.headers),
                    request_body=body or b"",
                    function=matched[0].function if matched else None,
                    status=response.status_code,
                    response_body=bytes(response.body),
                    seconds=time.monotonic() - started,
                    request_id=request_id,
                )
            )
        await response(scope, receive, send)

    def _match(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        for route, pattern in self._routes:
            if route.method in {method, "ANY"} and (match := pattern.fullmatch(path)):
                return route, match.groupdict()
        return None

    async def _invoke(self, name: str, event: dict[str, Any]) -> Response:
        try:
            result = await invoke(
                self._functions[name], self._handlers[name], event, patience=self._integration_timeout
            )
            return http_response(result)
        except InvocationTimeoutError as error:
            logger.error("%s", error)  # noqa: TRY400 - no traceback tells where a thread hangs
            return message(503, "Service Unavailable")
        except (FunctionError, MalformedResponseError):
            logger.exception("Function failed")
            return message(500, "Internal Server Error")


def application(gateway: ASGIApp, local: ASGIApp) -> Starlette:
    """The gateway with `local` under /_local/, which no deployed API has."""

    async def to_console(_: Request) -> RedirectResponse:
        return RedirectResponse("/_local/")

    return Starlette(
        routes=[
            AsgiRoute("/_local", to_console),
            Mount("/_local", app=local),
            Mount("/", app=gateway),
        ]
    )


async def _read(request: Request) -> bytes | None:
    """The body, or None where it is larger than API Gateway takes; read to its end all the same, since a
    client that is still sending would see a reset instead of the answer.
    """
    size = 0
    chunks: list[bytes] = []
    stream: AsyncIterator[bytes] = request.stream()
    async for chunk in stream:
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        else:
            chunks.clear()
    return b"".join(chunks) if size <= MAX_BODY_BYTES else None


def _http_request(request: Request, body: bytes) -> HttpRequest:
    scope = request.scope
    return HttpRequest(
        method=scope["method"],
        path=scope["path"],
        query_string=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        body=body,
        received_at=datetime.now(UTC),
        source_ip=scope["client"][0] if scope.get("client") else "127.0.0.1",
        protocol=f"HTTP/{scope['http_version']}",
        port=scope["server"][1] if scope.get("server") else 80,
    )


def _pattern(path: str) -> re.Pattern[str]:
    """`/customers/{customerId}` as an expression; `{proxy+}` takes the rest of the path."""
    parts = re.split(r"\{(\w+)(\+?)\}", path)
    expression = re.escape(parts[0])
    for name, greedy, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        expression += f"(?P<{name}>{'.+' if greedy else '[^/]+'}){re.escape(literal)}"
    return re.compile(expression, re.DOTALL)
