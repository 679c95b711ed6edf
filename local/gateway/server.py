"""Serve an ASGI app on 127.0.0.1 from a thread.

The socket is bound by the caller, who then knows the port and can report a port that is in use.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

HOST = "127.0.0.1"

_START_TIMEOUT = 10.0
# Connections that a browser keeps open would otherwise delay Ctrl-C.
_SHUTDOWN_TIMEOUT = 1
# Higher than API Gateway's limit, so that tests can send oversized headers to a function.
_MAX_HEADER_BYTES = 1 << 20


def bind(port: int) -> socket.socket:
    """Return a listening socket; port 0 is any free port. Raises OSError if the port is in use."""
    # asyncio disables Nagle's algorithm, which costs 40 ms a response, only if the socket names its protocol.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Otherwise a port stays in use for a minute after its last connection.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def serving(app: ASGIApp, listener: socket.socket) -> Iterator[str]:
    """Serve the app on the socket and yield its URL; close the socket at the end."""
    import uvicorn  # noqa: PLC0415 - slow to import

    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name=f"http-{port}", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_TIMEOUT
    try:
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError(f"the HTTP server did not start within {_START_TIMEOUT:g} s")
            time.sleep(0.005)
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join(_SHUTDOWN_TIMEOUT + 5)
        listener.close()
