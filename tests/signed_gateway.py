"""An HTTP server that verifies the signatures of requests as API Gateway does, because the local stack needs none."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session-token")
REGION = "eu-west-1"


class _Gateway(BaseHTTPRequestHandler):
    """Forward a request signed with CREDENTIALS to `api_url`, or answer 201 with its body; answer 403 to others."""

    api_url: ClassVar[str | None]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        signed = re.search(r"SignedHeaders=([^,]+), *Signature=(\w+)", self.headers.get("authorization", ""))
        if signed is None or signed[2] != self._signature(body, signed[1].split(";")):
            self._send(403, {"content-type": "application/json"}, b'{"message": "Forbidden"}')
        elif self.api_url is None:
            self._send(201, {}, body)
        else:
            headers = {"content-type": self.headers.get("content-type", "")} if body else {}
            answer = httpx.request(self.command, self.api_url + self.path, content=body, headers=headers, timeout=40)
            self._send(answer.status_code, {**answer.headers}, answer.content)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - names of http.server

    def _signature(self, body: bytes, names: list[str]) -> str:
        headers = {name: self.headers[name] for name in names}
        url = f"http://{self.headers['host']}{self.path}"
        request = AWSRequest(method=self.command, url=url, data=body, headers=headers)
        request.context["timestamp"] = self.headers["x-amz-date"]
        signer = SigV4Auth(CREDENTIALS, "execute-api", REGION)
        signature: str = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return signature

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name not in {"content-length", "date", "server"}:
                self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def signed_gateway(api_url: str | None = None) -> Iterator[dict[str, str]]:
    """Serve until the context ends; yield the environment of a caller."""
    gateway = type("_Gateway", (_Gateway,), {"api_url": api_url})
    server = ThreadingHTTPServer(("127.0.0.1", 0), gateway)
    Thread(target=server.serve_forever, daemon=True).start()
    assert CREDENTIALS.token
    try:
        yield {
            "API_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key,
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key,
            "AWS_SESSION_TOKEN": CREDENTIALS.token,
        }
    finally:
        server.shutdown()
        server.server_close()
