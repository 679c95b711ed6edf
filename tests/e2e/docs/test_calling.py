"""The signed calls of docs/calling.md, against a server that checks their signatures."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.docs.markdown import ROOT, fenced
from tests.signed_gateway import signed_gateway

PAGE = (ROOT / "docs/calling.md").read_text()


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    with signed_gateway() as environment:
        yield environment | {"PATH": os.environ["PATH"]}


def test_python(environment: dict[str, str]) -> None:
    code, _ = fenced(PAGE, "python")
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    status, _, body = process.stdout.partition(" ")
    assert (status, json.loads(body)) == ("201", {"customerId": "acme", "name": "Acme Ltd"})


def test_another_key_is_refused(environment: dict[str, str]) -> None:
    """The server does check the signature."""
    code, _ = fenced(PAGE, "python")
    another = environment | {"AWS_SECRET_ACCESS_KEY": "another"}
    process = subprocess.run([sys.executable, "-c", code], env=another, capture_output=True, text=True, check=True)
    assert process.stdout.startswith("403")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl(environment: dict[str, str]) -> None:
    [commands] = [block for block in fenced(PAGE, "sh") if "curl" in block]
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
