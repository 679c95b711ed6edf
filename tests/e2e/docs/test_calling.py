"""The signed calls of docs/calling.md, against a server that checks their signatures."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.docs.markdown import ROOT, fenced

PAGE = (ROOT / "docs/calling.md").read_text()
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session-token")
REGION = "eu-west-1"


class Gateway(BaseHTTPRequestHandler):
    """Answer 201 to a request signed with CREDENTIALS, verified as API Gateway does, and 403 to others."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        signed = re.search(r"SignedHeaders=([^,]+), *Signature=(\w+)", self.headers.get("authorization", ""))
        authentic = signed is not None and signed[2] == self._signature(body, signed[1].split(";"))
        self.send_response(201 if authentic else 403)
        self.end_headers()
        self.wfile.write(body if authentic else b'{"message": "Forbidden"}')

    def _signature(self, body: bytes, names: list[str]) -> str:
        headers = {name: self.headers[name] for name in names}
        url = f"http://{self.headers['host']}{self.path}"
        request = AWSRequest(method=self.command, url=url, data=body, headers=headers)
        request.context["timestamp"] = self.headers["x-amz-date"]
        signer = SigV4Auth(CREDENTIALS, "execute-api", REGION)
        signature: str = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return signature

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    Thread(target=server.serve_forever, daemon=True).start()
    assert CREDENTIALS.token
    yield {
        "PATH": os.environ["PATH"],
        "API_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key,
        "AWS_SESSION_TOKEN": CREDENTIALS.token,
    }
    server.shutdown()
    server.server_close()


def test_python(environment: dict[str, str]) -> None:
    [code] = fenced(PAGE, "python")
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    status, _, body = process.stdout.partition(" ")
    assert (status, json.loads(body)) == ("201", {"customerId": "acme", "name": "Acme Ltd"})


def test_another_key_is_refused(environment: dict[str, str]) -> None:
    """The server does check the signature."""
    [code] = fenced(PAGE, "python")
    another = environment | {"AWS_SECRET_ACCESS_KEY": "another"}
    process = subprocess.run([sys.executable, "-c", code], env=another, capture_output=True, text=True, check=True)
    assert process.stdout.startswith("403")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl(environment: dict[str, str]) -> None:
    commands = fenced(PAGE, "sh")[-1]
    _, _, signed = commands.partition("\n")
    command = signed.replace("curl ", "curl --silent --fail ")
    process = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(process.stdout) == {"customerId": "acme", "name": "Acme Ltd"}


STUBS = {
    "aws4fetch": "export class AwsClient { fetch = async (url) => ({ status: 201, text: async () => url }); }",
    "@aws-sdk/credential-providers": "export const fromNodeProviderChain = () => async () => ({});",
}
"""Without the network: they sign nothing."""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
def test_node_can_import_the_function(tmp_path: Path) -> None:
    """GIVEN a module that imports `call`, as docs/embedding.md does THEN the import itself calls nothing."""
    definition, example = fenced(PAGE, "js")
    for package, content in STUBS.items():
        folder = tmp_path / "node_modules" / package
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"type": "module", "exports": "./index.js"}')
        (folder / "index.js").write_text(content)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "call.js").write_text(definition)
    (tmp_path / "example.js").write_text(example)
    environment = {"PATH": os.environ["PATH"], "API_URL": "https://api.example"}

    def output(*arguments: str) -> str:
        command = ["node", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert (
        output("--input-type=module", "-e", 'import { call } from "./call.js"; console.log(typeof call)') == "function"
    )
    assert output("example.js") == "201 https://api.example/customers"
