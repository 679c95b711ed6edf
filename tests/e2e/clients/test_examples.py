"""The apps in examples/: they reach `Linked`, repeat what can succeed later, and explain every problem."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from codat_simulator.faults import Fault

from contract.operations import OPERATIONS
from tests.conftest import App
from tests.e2e.docs.markdown import ROOT
from tests.integration.faults.proxy import Proxy, lost
from tests.npm import npm_packages

EXAMPLES = ROOT / "examples"
CALLED = (
    "POST /customers",
    "POST /customers/{customerId}/connections",
    "GET /customers/{customerId}/connections/{connectionId}",
)
MAX_LINES = 60
_SECONDS = 60


@pytest.fixture(params=["python", "node"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    if request.param == "python":
        return [sys.executable, str(EXAMPLES / "python" / "app.py")]
    dependencies = json.loads((EXAMPLES / "node" / "package.json").read_text())["dependencies"]
    packages = npm_packages(*(f"{name}@{version}" for name, version in dependencies.items()))
    (tmp_path / "node_modules").symlink_to(packages)
    for name in ("app.js", "package.json"):
        (tmp_path / name).write_text((EXAMPLES / "node" / name).read_text())
    return ["node", str(tmp_path / "app.js")]


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=_SECONDS
    )


def test_a_customer_is_linked(app: App, caller: dict[str, str], command: list[str]) -> None:
    """GIVEN a Codat that fails once WHEN the customer opens the link and authorises THEN the app says Linked."""
    app.customer()  # so that the API key is trusted
    app.codat.faults.add(Fault(kind="status", status=503, method="POST", path="/companies", times=1))
    with running([*command, "acme@example.com", "Acme Ltd", "qhyg"], caller) as process:
        assert process.stdout is not None
        link = process.stdout.readline().partition(": ")[2].strip()
        assert httpx.post(link, data={"action": "authorize"}).status_code == 200
        output, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0, errors
    assert output.startswith("Linked: QuickBooks Online since 20")
    assert app.get("/customers/acme@example.com").json()["connections"][0]["status"] == "Linked"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (
            ["acme", "Acme Ltd", "abcd"],
            r"platformKey: 'abcd' is not an available platform(.|\n)*Choose another value: ",
        ),
        (["a b", "Acme Ltd", "qhyg"], r"customerId: String should match(.|\n)*Correct the input: "),
        (["taken", "Acme Ltd", "qhyg"], r"Ask the user: Customer taken already exists with another name"),
    ],
    ids=["unknown-platform", "validation-error", "customer-conflict"],
)
def test_a_problem_is_explained(
    app: App, caller: dict[str, str], command: list[str], arguments: list[str], shown: str
) -> None:
    """With the field that it concerns, and an exit status."""
    app.customer("taken")
    process = run([*command, *arguments], caller)
    assert process.returncode == 1
    assert re.search(shown, process.stdout + process.stderr)


def test_a_lost_answer_is_repeated(app: App, caller: dict[str, str], command: list[str]) -> None:
    """GIVEN an API behind a proxy that loses the first answer THEN the app goes on, and there is one company."""
    with Proxy(caller["API_URL"]) as proxy:
        proxy.next(lost)
        with running([*command, "acme", "Acme Ltd", "qhyg"], caller | {"API_URL": proxy.url}) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("Open this link once: ")
    assert len(app.codat.state.companies()) == 1


def test_a_wrong_url_is_explained(caller: dict[str, str], command: list[str]) -> None:
    process = run([*command, "acme", "Acme Ltd", "qhyg"], caller | {"API_URL": f"{caller['API_URL']}/v1"})
    assert process.stderr.startswith("Check API_URL: Not Found")


def test_an_operator_is_asked_to_act(app: App, caller: dict[str, str], command: list[str]) -> None:
    app.customer()
    app.codat.faults.add(Fault(kind="status", status=402, method="POST", path="/companies"))
    process = run([*command, "acme", "Acme Ltd", "qhyg"], caller)
    assert process.stderr.startswith("Alert the operator: ")
    assert "codat-account-limit" in process.stderr


def test_a_wrong_signature_is_explained(caller: dict[str, str], command: list[str]) -> None:
    process = run([*command, "acme", "Acme Ltd", "qhyg"], caller | {"AWS_SECRET_ACCESS_KEY": "another"})
    assert process.stderr.startswith("Allow the role to invoke the route: Forbidden")


@pytest.mark.parametrize("path", ["python/app.py", "node/app.js"])
def test_every_problem_of_the_called_routes_has_an_answer(path: str) -> None:
    text = (EXAMPLES / path).read_text()
    expected = {problem for route in CALLED for problem in OPERATIONS[route].all_problems}
    assert {name for name in expected if f'"{name}"' not in text} == set()
    assert len(text.splitlines()) <= MAX_LINES
