"""What `make package` builds works by itself: built for this machine, imported by Lambda's Python alone."""

import json
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.artifact.make import BUILD, ROOT, RUNTIME

FUNCTIONS = re.findall(r"^  (\w+Function):$", (ROOT / "template.yaml").read_text(), re.MULTILINE)
LAYER = BUILD / "SharedLayer/python"
# The pyc flag that says: the source's hash is inside, and is not to be checked (PEP 552).
UNCHECKED_HASH = 0b01

# A cold start as Lambda does it: the function's folder and the layer's come first on the path, then the handler is
# imported by its name. -I and -S leave out everything else: working folder, environment, site-packages.
COLD_START = """
import importlib, json, sys
function, layer, handler = sys.argv[1:]
allowed = [function, layer, *sys.path]
sys.path[:0] = [function, layer]
module, _, name = handler.rpartition(".")
entry = getattr(importlib.import_module(module), name)
files = {name: module.__file__ for name, module in sys.modules.items() if getattr(module, "__file__", None)}
json.dump({"callable": callable(entry), "allowed": allowed, "files": files}, sys.stdout)
"""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_handler_imports_from_the_artifact_alone(built: dict[str, Any], name: str) -> None:
    """GIVEN the built function and its layer WHEN Lambda's Python imports the handler THEN nothing is missing."""
    properties = built["Resources"][name]["Properties"]
    function, handler = BUILD / properties["CodeUri"], properties["Handler"]

    cold_start = subprocess.run(
        [RUNTIME, "-I", "-S", "-W", "error", "-c", COLD_START, function, LAYER, handler],
        cwd="/",
        # No variable of the template is set: settings are read at the first event, not at import.
        env={},
        capture_output=True,
        text=True,
        check=False,
    )

    assert cold_start.returncode == 0, cold_start.stderr
    found = json.loads(cold_start.stdout)
    assert found["callable"]
    outside = {
        module: file
        for module, file in found["files"].items()
        if not any(Path(file).is_relative_to(folder) for folder in found["allowed"])
    }
    assert not outside
    assert Path(found["files"][handler.rpartition(".")[0]]).is_relative_to(function)
    from_layer = {module for module, file in found["files"].items() if Path(file).is_relative_to(LAYER)}
    assert "shared" in {module.partition(".")[0] for module in from_layer}


def test_every_function_of_the_template_is_built(built: dict[str, Any]) -> None:
    assert {name for name in built["Resources"] if name.endswith("Function")} == set(FUNCTIONS)


@pytest.mark.parametrize("package", ["boto3", "botocore", "pydantic", "httpx", "aws_lambda_powertools"])
@pytest.mark.usefixtures("built")
def test_layer_brings_its_own(package: str) -> None:
    """Lambda's Python comes with a boto3 of its own, which changes without notice: the locked one is shipped."""
    assert (LAYER / package / "__init__.py").exists()


@pytest.mark.usefixtures("built")
def test_layer_holds_only_what_is_locked() -> None:
    """GIVEN the exported lock WHEN the layer was built THEN each distribution in it is there in that version."""
    locked = {
        (name.replace("-", "_"), version)
        for name, version in re.findall(
            r"^([a-z0-9-]+)==([^\s;\\]+)", (ROOT / "shared/requirements.txt").read_text(), re.MULTILINE
        )
    }
    shipped = {
        tuple(folder.name.removesuffix(".dist-info").lower().replace("-", "_").rsplit("_", 1))
        for folder in LAYER.glob("*.dist-info")
    }

    assert shipped
    assert shipped <= locked


@pytest.mark.usefixtures("built")
def test_byte_code_is_shipped() -> None:
    """Without it each cold start compiles every module; with checked times each would find it stale. Its paths, which
    tracebacks show, are Lambda's and not the builder's.
    """
    for root, folders in {"/var/task": BUILD.glob("*Function"), "/opt": BUILD.glob("*Layer")}.items():
        sources = {source: source.relative_to(folder) for folder in folders for source in folder.rglob("*.py")}
        assert sources
        for source, name in sources.items():
            code = (source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc").read_bytes()
            assert struct.unpack("<4xI", code[:8])[0] == UNCHECKED_HASH, source
            assert f"{root}/{name}".encode() in code, source
