"""The signed calls of docs/calling.md, against a server that checks their signatures."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

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
