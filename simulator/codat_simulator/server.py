"""The simulator as a server on 127.0.0.1.

with CodatServer(Settings(webhook_urls=(url,), company_limit=50)) as codat:
    codat.base_url                      # http://127.0.0.1:PORT
    codat.authorization                 # "Basic ..." with the first API key
    codat.state.link(company_id, connection_id)     # also cancel, revoke, companies, ...
    codat.state.list_lag = 2.5          # lists return the state from 2.5 s ago
    codat.state.finish_initial_read(company_id, connection_id, failed=("invoices",))
    codat.serializer.omit_integration_key = True    # connections have no integrationKey
    codat.faults.add(Fault(kind="status", status=503, when="after", path="/companies", times=1))
    codat.calls.count("POST", "/companies")
    codat.clock.advance(timedelta(minutes=91))
    codat.webhooks.secrets = (old, new)     # a rotation; also .deliveries and .consumers
    codat.api_keys = (old, new)         # the valid API keys; .api_key_store has their ids and names
    codat.allowed_origins = (origin,)   # the origins that may embed the Link SDK
    codat.wait_idle()                   # until no webhook or read is pending
    codat.reset()                       # for the next test
"""

import base64
import socket
import threading
import time
from types import TracebackType
from typing import Self

import uvicorn

from codat_simulator.app import create_app
from codat_simulator.settings import Settings
from codat_simulator.simulator import SimulatedCodat
from codat_simulator.transport import DroppableProtocol

_HOST = "127.0.0.1"
_START_TIMEOUT = 10.0


class CodatServer(SimulatedCodat):
    """Serve from a thread between start and stop, or as a context manager. Port 0 takes a free port."""

    def __init__(self, settings: Settings | None = None, *, port: int = 0) -> None:
        super().__init__(settings or Settings())
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        return self.links.base_url

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(self.api_keys[0].encode()).decode()

    def start(self) -> None:
        """Return once the server accepts requests. Raise OSError if the port is taken."""
        listener = _bind(self._port)
        self.links.base_url = f"http://{_HOST}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(self),
            http=DroppableProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # endpoint.with_headers adds the date of Codat's clock
            timeout_graceful_shutdown=1,
        )
        self._server = server = uvicorn.Server(config)

        def serve() -> None:
            with listener:
                server.run(sockets=[listener])

        self._thread = threading.Thread(target=serve, name="codat-simulator", daemon=True)
        self._thread.start()
        end = time.monotonic() + _START_TIMEOUT
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise RuntimeError("The simulator did not start")
            time.sleep(0.002)

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()

    def wait_idle(self, timeout: float = 10.0) -> None:
        """Wait until no webhook and no initial read is pending. Raise TimeoutError."""
        if not self.background.wait_idle(timeout):
            raise TimeoutError(f"{self.background.pending} webhooks or reads are still pending")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _bind(port: int) -> socket.socket:
    # asyncio disables Nagle's algorithm only for sockets with an explicit protocol. Otherwise each response
    # would take 40 ms longer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
    except OSError:
        listener.close()
        raise
    return listener
