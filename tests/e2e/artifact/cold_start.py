"""Import a built function in a fresh process of Lambda's Python, which can import the function and the layer alone."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from bench.subjects import lambda_variables
from local.template import Template
from tests.e2e.artifact.make import BUILD, ROOT, RUNTIME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FUNCTIONS = re.findall(r"^  (\w+Function):$", (ROOT / "template.yaml").read_text(), re.MULTILINE)
LAYER = BUILD / "SharedLayer/python"
_SCRIPT = ROOT / "tests/e2e/artifact/trace_imports.py"
# The init phase creates clients and sends no request.
_UNREACHABLE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Imports:
    """`allowed` are the folders on the path, and `importers` contains the module that first imported each module."""

    handler_is_callable: bool
    allowed: list[str]
    modules: list[str]
    files: Mapping[str, str]
    importers: Mapping[str, str]

    def chain(self, module: str) -> str:
        """Return the imports that led to a module: `functions.x.app → shared.y → botocore`."""
        chain = [module]
        while (importer := self.importers.get(chain[-1])) not in {None, "__main__", *chain}:
            chain.append(str(importer))
        return " → ".join(reversed(chain))


@cache
def imports(name: str, build: Path = BUILD) -> Imports:
    """Import the handler of a function of the template. Raises ColdStartError with the output if that fails."""
    function = Template.load(build / "template.yaml").functions[name]
    variables = lambda_variables(function.name, function.memory, _UNREACHABLE) | dict(function.environment)
    return trace(build / name, build / "SharedLayer/python", function.handler, variables)


def trace(function: Path, layer: Path, handler: str, variables: Mapping[str, str]) -> Imports:
    traced: Any = json.loads(run([_SCRIPT, function, layer, handler], variables))
    return Imports(traced.pop("callable"), **traced)


def run(script: list[Path | str], variables: Mapping[str, str], python: Path = RUNTIME) -> str:
    done = subprocess.run(
        [python, "-I", "-S", "-W", "error", *script],
        cwd="/",
        env=dict(variables),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ColdStartError(done.stderr)
    return done.stdout


class ColdStartError(Exception):
    """The process failed."""
