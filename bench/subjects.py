"""The handlers to measure, functions of the built artifact and peers, and processes that run them as Lambda does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import httpx

from bench import doubles
from bench.doubles import LINKED, PENDING, WITHOUT_CONNECTION
from local.template import DEFAULT_REGION, Template
from tests.e2e.artifact.make import ARCHITECTURE, ROOT, RUNTIME, make
from tests.payloads import api_event, webhook_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

ARTIFACT = ROOT / ".aws-sam/bench"
_SOURCES = ROOT / "bench"
_PEERS = ROOT / ".cache/bench-peers"
_SUCCESS = range(200, 300)

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """`peer` is the name of the guide's way to do the same; `path` is what the process can import from."""

    name: str
    handler: str
    path: tuple[Path, ...]
    environment: Mapping[str, str]
    event: Callable[[], Event]
    peer: str | None = None


class Process:
    """A fresh process that has imported the subject's handler. `init` is the CPU time of that in milliseconds."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._log = TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(  # noqa: S603 - constant arguments
            [RUNTIME, "-S", "-P", _SOURCES / "invoke.py", subject.handler],
            cwd=subject.path[0],
            env={**subject.environment, "PYTHONPATH": os.pathsep.join(map(str, subject.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.init: float = self._result()["milliseconds"]

    def invoke(self) -> float:
        """Invoke the handler with a new event; return the CPU time in milliseconds. Exits unless it succeeds."""
        event = json.dumps(self._subject.event())
        assert self._process.stdin
        self._process.stdin.write(f"{event}\n")
        self._process.stdin.flush()
        result = self._result()
        if result["status"] not in _SUCCESS:
            self._fail(f"answered {result['status']}")
        return float(result["milliseconds"])

    def end(self) -> list[str]:
        """End the process, and return the modules that it imported."""
        assert self._process.stdin
        self._process.stdin.close()
        modules: list[str] = self._result()["modules"]
        self._process.wait()
        self._log.close()
        return modules

    def _result(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        return json.loads(line) if line else self._fail("crashed")

    def _fail(self, problem: str) -> None:
        self._process.kill()
        self._process.wait()
        self._log.seek(0)
        sys.exit(f"{self._subject.name} {problem}:\n{self._log.read().decode()}")


@contextmanager
def running_doubles() -> Iterator[str]:
    """Run the doubles of AWS and Codat in a process of their own; yield their URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.doubles"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        # Popen closes stdin, which ends the process, and waits.


def requests_since_last_call(url: str) -> dict[str, int]:
    counts: dict[str, int] = httpx.get(f"{url}/_requests").json()
    return counts


def build() -> None:
    """Build the artifact for this machine's processor, and install and compile the peers."""
    make("package", f"ARCH={ARCHITECTURE}", f"BUILD={ARTIFACT.relative_to(ROOT)}")
    prepare_peers()


def prepare_peers() -> None:
    make(".cache/bench-floor/.synced", ".cache/bench-guide/.synced")
    shutil.rmtree(_PEERS, ignore_errors=True)
    shutil.copytree(_SOURCES / "peers", _PEERS, ignore=shutil.ignore_patterns("__*"))
    command: list[Path | str] = [RUNTIME, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", _PEERS]
    subprocess.run(command, check=True)  # noqa: S603 - constant arguments


def functions(artifact: Path, url: str) -> list[Subject]:
    template = Template.load(artifact / "template.yaml", parameters={"CodatBaseUrl": url})
    layer = artifact / "SharedLayer/python"

    def function(name: str, logical_id: str, event: Callable[[], Event], peer: str) -> Subject:
        deployed = template.functions[logical_id]
        variables = {**lambda_variables(deployed.name, deployed.memory, url), **deployed.environment}
        return Subject(name, deployed.handler, (artifact / logical_id, layer), variables, event, peer)

    return [
        function("codat_webhook", "CodatWebhookFunction", webhook, "guide_webhook"),
        function("create_company", "CreateCompanyFunction", _create_company, "guide_company"),
        function("create_connection", "CreateConnectionFunction", _create_connection, "guide_company"),
        function("unlink_connection", "UnlinkConnectionFunction", _unlink_connection, "guide_company"),
        function("read_customers", "ReadCustomersFunction", _read_customer, "guide_company"),
    ]


def peers(url: str) -> list[Subject]:
    """Return the floor, and the guide's way to receive a webhook and to create a company."""
    return [
        _peer("floor", _environment_packages("floor"), url, dict),
        _peer("guide_webhook", _environment_packages("guide"), url, webhook),
        _peer("guide_company", _environment_packages("guide"), url, _create_company),
    ]


def bare_webhook(artifact: Path, url: str) -> Subject:
    """Return the webhook written bare, on the layer's libraries."""
    return _peer("bare_webhook", artifact / "SharedLayer/python", url, webhook)


def _peer(name: str, packages: Path, url: str, event: Callable[[], Event]) -> Subject:
    settings = {
        "TABLE_NAME": "bench",
        "CODAT_SECRET_ID": "bench",
        "CODAT_BASE_URL": url,
        "CODAT_API_KEY": doubles.API_KEY,
        "WEBHOOK_SECRET": doubles.SIGNING_SECRET,
    }
    return Subject(name, f"{name}.handler", (_PEERS, packages), lambda_variables(name, 512, url) | settings, event)


def _environment_packages(name: str) -> Path:
    return ROOT / f".cache/bench-{name}/lib/python3.13/site-packages"


def lambda_variables(name: str, memory: int, url: str) -> dict[str, str]:
    """Return the variables that Lambda sets, and the endpoint of AWS's doubles."""
    return {
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        # Without a folder ~/.aws, as on Lambda.
        "HOME": "/home/sbx_user1051",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
        "AWS_REGION": DEFAULT_REGION,
        "AWS_DEFAULT_REGION": DEFAULT_REGION,
        "AWS_ACCESS_KEY_ID": "BENCH",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_SESSION_TOKEN": "bench",
        "AWS_ENDPOINT_URL": url,
    }


def webhook() -> Event:
    """Return a signed `connection.connected` about a connection that is stored as PendingAuth."""
    customer_id, company_id, connection_id, _ = PENDING
    return webhook_event(
        "connection.connected",
        doubles.SIGNING_SECRET,
        company_id=company_id,
        connection_id=connection_id,
        tags={"uid": customer_id},
        generatedDate=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def _create_company() -> Event:
    return api_event("create_company", body={"customerId": "new", "name": "Bank of Dave"})


def _create_connection() -> Event:
    return api_event("create_connection", body={"platformKey": "qhyg"}, customerId=WITHOUT_CONNECTION[0])


def _unlink_connection() -> Event:
    return api_event("unlink_connection", customerId=LINKED[0], connectionId=LINKED[2])


def _read_customer() -> Event:
    return api_event("get_customer", customerId=LINKED[0])
