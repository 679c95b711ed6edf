"""An ASGI app served on loopback by uvicorn, in a thread, on a socket that is bound first.

Binding first tells the port before anything runs, and lets a port that is taken fail where it can be
reported: in the caller.
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

_START_WITHIN = 10.0
_BACKLOG = 2048
# Connections that a browser keeps open would otherwise hold up Ctrl-C.
_GRACE = 1
# Far above what API Gateway lets in, so that headers of an absurd size reach the function that must refuse them.
_MAX_HEADER_BYTES = 1 << 20


def bind(port: int) -> socket.socket:
    """A socket on loopback; 0 takes any free port. Raises OSError where the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Without it a port stays taken for a minute after its last connection closed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        # Until it listens, another could still take the same port.
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def serving(app: ASGIApp, listener: socket.socket) -> Iterator[str]:
    """Serves the app on the socket and gives its URL; closes the socket at the end."""
    import uvicorn  # noqa: PLC0415 - slow, and not needed to say that a port is taken

    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name=f"http-{port}", daemon=True)
    thread.start()
    try:
        _wait_for(server, thread)
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join(_GRACE + 5)
        listener.close()


def _wait_for(server: object, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_WITHIN
    while not getattr(server, "started", False):
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the HTTP server did not start; its log says why")
        time.sleep(0.005)
