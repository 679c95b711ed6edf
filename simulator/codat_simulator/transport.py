"""Access to the TCP connection of a request, to close it without a response."""

from asyncio import Transport

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_EXTENSION = "codat_simulator.transport"


class DroppableProtocol(H11Protocol):
    """Pass the transport to each request.

    ASGI can't close a connection without a response: if an application returns or raises early, uvicorn sends 500.
    """

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_EXTENSION] = transport
            await app(scope, receive, send)

        self.app = with_transport


async def drop_connection(scope: Scope, receive: Receive) -> None:
    """Close the connection and wait until the server notices it.

    Raise ConnectionResetError if there is no connection, as with an ASGI test client.
    """
    transport: Transport | None = scope.get("extensions", {}).get(_EXTENSION)
    if transport is None:
        raise ConnectionResetError("dropped on purpose")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
