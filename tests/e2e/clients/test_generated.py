"""The clients that are generated from docs/openapi.json: they compile and go through the whole journey, signed."""

import compileall
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import App
from tests.e2e.docs.markdown import ROOT, fenced
from tests.npm import npm_packages

HERE = Path(__file__).parent
PAGE = (ROOT / "docs" / "calling.md").read_text()
TYPESCRIPT = ("typescript@5.9.3", "@types/node@20.19.43", "openapi-fetch@0.17.0")
OPTIONS = ("--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--skipLibCheck")
_SECONDS = 120


@pytest.fixture(autouse=True)
def _trusted(app: App) -> None:
    """No other customer exists, and the API key is trusted."""
    app.start_afresh()


def run(command: list[str | Path], folder: Path, environment: dict[str, str] | None = None) -> str:
    process = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=_SECONDS
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


GATEWAY = """
import httpx
from codat_customers_client import Client
from codat_customers_client.api.customers import create_customer
from codat_customers_client.models import NewCustomer

for status, text in ((403, "Forbidden"), (429, "Too Many Requests"), (503, "Service Unavailable")):
    transport = httpx.MockTransport(lambda request: httpx.Response(status, json={"message": text}))
    client = Client(base_url="https://example.com", httpx_args={"transport": transport})
    answer = create_customer.sync(client=client, body=NewCustomer(customer_id="acme", name="Acme Ltd"))
    print(status, type(answer).__name__, answer.message)
"""


def test_the_python_client(caller: dict[str, str], tmp_path: Path) -> None:
    """It also parses the answers of API Gateway itself, which are no problems."""
    output = run(["make", "python-client", f"TO={tmp_path / 'client'}"], ROOT)
    assert "Warning" not in output
    assert compileall.compile_dir(tmp_path / "client", quiet=1)
    _, example = fenced(PAGE, "python")
    script = tmp_path / "journey.py"
    script.write_text(f"{example}\n{(HERE / 'journey.py').read_text()}")
    assert run([sys.executable, script], tmp_path, caller | {"PYTHONPATH": str(tmp_path / "client")}).endswith(
        "complete\n"
    )
    script.write_text(GATEWAY)
    assert run([sys.executable, script], tmp_path, {"PYTHONPATH": str(tmp_path / "client")}).splitlines() == [
        "403 Message Forbidden",
        "429 Message Too Many Requests",
        "503 Message Service Unavailable",
    ]


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the packages, the generated types and docs/calling.md's example."""
    folder = tmp_path_factory.mktemp("typescript")
    [generator] = re.findall(r"npx --yes (openapi-typescript@[\d.]+)", (ROOT / "Makefile").read_text())
    dependencies = json.loads((ROOT / "examples/node/package.json").read_text())["dependencies"]
    signing = [f"{name}@{version}" for name, version in dependencies.items()]
    packages = npm_packages(generator, *TYPESCRIPT, *signing)
    (folder / "node_modules").symlink_to(packages)
    (folder / "package.json").write_text('{"type": "module"}')
    generate = packages / "openapi-typescript/bin/cli.js"
    run(["node", generate, ROOT / "docs/openapi.json", "--output", "codat-customers.ts"], folder)
    [example] = fenced(PAGE, "ts")
    (folder / "journey.ts").write_text(f"{example}\n{(HERE / 'journey.ts').read_text()}")
    return folder


def compile_typescript(folder: Path, name: str, *options: str) -> str:
    """Return the compiler's errors."""
    command = ["node", "node_modules/typescript/bin/tsc", *OPTIONS, *options, name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_the_typescript_types(caller: dict[str, str], typescript: Path) -> None:
    assert compile_typescript(typescript, "journey.ts") == ""
    assert run(["node", "journey.js"], typescript, caller).endswith("complete\n")


def test_wrong_names_do_not_compile(typescript: Path) -> None:
    """The types do check fields, and the names of problems."""
    text = (typescript / "journey.ts").read_text()
    wrong = text.replace("connection.linkedAt", "connection.linkedat").replace("-conflict", "-conflicts")
    (typescript / "wrong.ts").write_text(wrong)
    errors = compile_typescript(typescript, "wrong.ts", "--noEmit")
    assert "Property 'linkedat' does not exist" in errors
    assert "customer-conflicts" in errors
