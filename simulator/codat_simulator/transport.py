"""TCP connections that can be closed under a request."""

from asyncio import Transport

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_EXTENSION = "codat_simulator.transport"


class DroppableProtocol(H11Protocol):
    """Hands each request its transport.

    ASGI has no way to end a connection without an answer: an application that just returns or
    raises is answered for with a 500.
    """

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_EXTENSION] = transport
            await app(scope, receive, send)

        self.app = with_transport


async def drop_connection(scope: Scope, receive: Receive) -> None:
    """Closes it and returns once the server has seen that it is gone.

    Raises ConnectionResetError where there is no connection to close, as under an ASGI test client.
    """
    transport: Transport | None = scope.get("extensions", {}).get(_EXTENSION)
    if transport is None:
        raise ConnectionResetError("dropped on purpose")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
