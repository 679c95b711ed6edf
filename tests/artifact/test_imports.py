"""What `make package` builds works by itself: built for this machine, imported by Lambda's Python alone."""

import fcntl
import json
import platform
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.artifact.make import ROOT, make

FUNCTIONS = re.findall(r"^  (\w+Function):$", (ROOT / "template.yaml").read_text(), re.MULTILINE)
BUILD = ROOT / ".aws-sam/host"
LAYER = BUILD / "SharedLayer/python"
RUNTIME = ROOT / ".sam/bin/python3.13"
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
# The field e_machine of a shared library's header.
ELF_MACHINES = {"x86_64": 62, "arm64": 183}
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


@pytest.fixture(scope="module")
def built() -> Iterator[dict[str, Any]]:
    """The built template's functions by name. A second run of the tests waits until this one is through."""
    if sys.platform != "linux":
        pytest.skip("the artifact holds Linux's compiled libraries, which this system can't import")
    make(".sam/.synced")
    if not RUNTIME.exists():
        pytest.skip("Python 3.13, which Lambda runs, is not installed: what `make package` builds was NOT tested")
    BUILD.parent.mkdir(exist_ok=True)
    with BUILD.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make("package", f"ARCH={ARCHITECTURE}", f"BUILD={BUILD.relative_to(ROOT)}")
        yield {
            name: resource["Properties"]
            for name, resource in yaml.safe_load((BUILD / "template.yaml").read_text())["Resources"].items()
            if resource["Type"] == "AWS::Serverless::Function"
        }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_handler_imports_from_the_artifact_alone(built: dict[str, Any], name: str) -> None:
    """GIVEN the built function and its layer WHEN Lambda's Python imports the handler THEN nothing is missing."""
    function = BUILD / built[name]["CodeUri"]

    cold_start = subprocess.run(
        [RUNTIME, "-I", "-S", "-W", "error", "-c", COLD_START, function, LAYER, built[name]["Handler"]],
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
    assert Path(found["files"]["functions." + built[name]["Handler"].split(".")[1] + ".app"]).is_relative_to(function)
    from_layer = {module for module, file in found["files"].items() if Path(file).is_relative_to(LAYER)}
    assert "shared" in {module.partition(".")[0] for module in from_layer}


def test_every_function_of_the_template_is_built(built: dict[str, Any]) -> None:
    assert set(built) == set(FUNCTIONS)


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
    """Without it each cold start compiles every module; with checked times each would find it stale."""
    sources = [source for folder in (*BUILD.glob("*Function"), LAYER) for source in folder.rglob("*.py")]
    assert sources
    for source in sources:
        header = (source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc").read_bytes()[:8]
        assert struct.unpack("<4xI", header)[0] == UNCHECKED_HASH, source


@pytest.mark.usefixtures("built")
def test_compiled_libraries_are_the_processors() -> None:
    libraries = list(BUILD.rglob("*.so"))
    assert libraries
    for library in libraries:
        assert struct.unpack_from("<H", library.read_bytes()[:20], 18)[0] == ELF_MACHINES[ARCHITECTURE], library
