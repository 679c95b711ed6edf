"""Only this machine's programs and this server's pages may send requests, except for what a tunnel publishes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request

from local.gateway.exchanges import INVITATION_PREFIX, WEBHOOK_PATH
from local.gateway.responses import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_WRONG_HOST = (
    "The header Host is neither 127.0.0.1 nor localhost. Under another name, such as a tunnel's, this server has only "
    f"{WEBHOOK_PATH} and {INVITATION_PREFIX}."
)
_WRONG_ORIGIN = (
    "The header Origin names another website, whose pages may not call this server. Call it from your app's server."
)


class SameOrigin:
    """Reject requests from other websites, because a developer's browser can reach this server.

    Check `Host` against DNS rebinding. Programs send no `Origin`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = _rejection(Request(scope))
        if detail is None:
            await self._app(scope, receive, send)
            return
        await problem(HTTPStatus.FORBIDDEN, detail)(scope, receive, send)


def _rejection(request: Request) -> str | None:
    """Return why the request is rejected, or None. A signature or a token protects what a tunnel publishes."""
    path = request.scope["path"]
    # The form of an invitation's page sends `Origin: null`, because of its referrer policy.
    if path == WEBHOOK_PATH or path.startswith(INVITATION_PREFIX):
        return None
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if host.partition(":")[0] not in _LOOPBACK:
        return _WRONG_HOST
    return _WRONG_ORIGIN if origin not in {None, f"http://{host}"} else None
