"""Run a built function as Lambda does: by awslambdaric, behind AWS's runtime interface emulator.

Its process can import the function and the layer, and nothing else of the repository.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any

import httpx

from local.template import Function
from tests.e2e.artifact.make import ARCHITECTURE, ROOT
from tests.servers import free_ports, running_server

logger = logging.getLogger("tests.e2e.artifact")

_PYTHON = ROOT / ".ric/bin/python3.13"
_MARGIN_SECONDS = 5


class FailedInvocationError(Exception):
    """The error of the function, or of the runtime that could not start it, with the log."""


class Emulator:
    """A handler for the local stack that runs its function in the emulator."""

    def __init__(self, function: Function, code: Path, layers: Sequence[Path]) -> None:
        self.invocations = 0
        self._function = function
        self._code = code
        # Lambda unpacks a layer to /opt, and /opt/python is on its path.
        self._path = [code, *(layer / "python" for layer in layers)]
        # The emulator crashes if a second request arrives before the first is answered.
        self._lock = Lock()
        self._url = ""
        self._log = Path()

    @contextmanager
    def running(self, environment: Mapping[str, str]) -> Iterator[None]:
        """Start the emulator. `environment`: the function's variables, and those of AWS's substitutes."""
        port, api_port = free_ports(2)
        command: list[str | Path] = [
            *(_emulator(), "--log-level", "warn"),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *("--runtime-api-address", f"127.0.0.1:{api_port}"),
            *(_PYTHON, "-m", "awslambdaric", self._function.handler),
        ]
        variables = {
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(map(str, self._path)),
            "LAMBDA_TASK_ROOT": str(self._code),
            "AWS_LAMBDA_FUNCTION_NAME": self._function.name,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(self._function.timeout),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._function.memory),
            **environment,
        }
        with running_server(command, port, cwd=self._code, environment=variables) as log:
            self._log = log
            self._url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
            yield

    def __call__(self, event: dict[str, Any], _: object) -> Any:
        with self._lock:
            response = httpx.post(self._url, json=event, timeout=self._function.timeout + _MARGIN_SECONDS)
            self.invocations += 1
        try:
            answer = response.json()
        except ValueError:  # a timeout is plain text
            answer = {"errorType": response.text}
        if "errorType" in answer:
            raise FailedInvocationError(f"{self._function.name}: {answer}\n{self.log()}")
        if answer.get("statusCode") == HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("%s: %s", self._function.name, self.log())  # pytest shows it if the test fails
        return answer

    def log(self) -> str:
        return self._log.read_text()


def emulators(functions: Mapping[str, Function], built: Mapping[str, Any], folder: Path) -> dict[str, Emulator]:
    """Return an emulator for each function of the built template, whose code is in `folder`."""
    resources = {name: resource["Properties"] for name, resource in built["Resources"].items()}
    defaults = built["Globals"]["Function"]
    return {
        name: Emulator(
            function,
            folder / resources[name]["CodeUri"],
            [
                folder / resources[layer["Ref"]]["ContentUri"]
                for layer in resources[name].get("Layers", defaults["Layers"])
            ],
        )
        for name, function in functions.items()
    }


def _emulator() -> Path:
    """Return the path of the binary that SAM CLI mounts into its containers."""
    [binary] = (ROOT / ".sam/lib").glob(f"python3.13/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}")
    return binary
