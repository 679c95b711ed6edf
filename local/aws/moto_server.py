"""moto behind HTTP: the AWS services of the stack on one machine."""

from __future__ import annotations

import itertools
import threading
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from local.aws import moto_patches
from local.template import ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# moto serves every service on one port. AWS_ENDPOINT_URL_DYNAMODB may name another DynamoDB.
ENDPOINT_VARIABLES = tuple(
    f"AWS_ENDPOINT_URL_{service}"
    for service in ("DYNAMODB", "DYNAMODB_STREAMS", "SECRETS_MANAGER", "SQS", "EVENTBRIDGE")
)
# DynamoDB Local accepts letters and digits only.
ACCESS_KEY_ID = "LOCALONEMACHINE"
SECRET_ACCESS_KEY = "LocalOneMachine"

# moto's state belongs to the process, separated by account.
_lock = threading.Lock()
_account_ids = itertools.count(int(ACCOUNT_ID))


class _Handler(WSGIRequestHandler):
    """Keep connections open: werkzeug closes each, so that each request would need a new one and a new thread."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two packets; Nagle's algorithm would delay the second by 40 ms.
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        # Read to the end in any case, because the next request follows on the same connection.
        environ["wsgi.input"] = BytesIO(self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0)))
        response = Response.from_app(self.server.app, environ, buffered=True)
        self.send_response(response.status_code)
        response.headers["Content-Length"] = str(len(response.data))
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.data)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@contextmanager
def moto_server(middleware: Callable[[WSGIApplication], WSGIApplication] | None = None) -> Iterator[str]:
    """Serve an empty moto on a free port of 127.0.0.1; yield its URL. `middleware` wraps moto's app."""
    moto_patches.apply()
    app: WSGIApplication = serialized(_in_new_account(DomainDispatcherApplication(create_backend_app)))
    if middleware:
        app = middleware(app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="moto", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def serialized(app: WSGIApplication) -> WSGIApplication:
    """Handle one request at a time.

    moto keeps its tables in plain dictionaries. Under concurrent requests it answers some transactions with
    500 and loses updates that it has confirmed.
    """

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # list(), because a lazy response would be computed after the lock is released.
        with _lock:
            return list(app(environ, start_response))

    return call


def _in_new_account(app: WSGIApplication) -> WSGIApplication:
    """Start with no resources: use an AWS account that no earlier server has used."""
    account_id = f"{next(_account_ids):012}"
    return lambda environ, start_response: app({**environ, "HTTP_X_MOTO_ACCOUNT_ID": account_id}, start_response)
