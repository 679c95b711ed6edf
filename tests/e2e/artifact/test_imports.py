"""The artifact of `make package` is complete: Lambda's Python imports it without the repository.

A function imports the modules in budgets.toml, and no others.
"""

import re
import struct
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.artifact.budgets import COMMAND, FILE, Budget, differences, read
from tests.e2e.artifact.cold_start import FUNCTIONS, LAYER, imports
from tests.e2e.artifact.make import BUILD, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = sorted(re.split(r"\W*[<>=!~;[]", name)[0].replace("-", "_") for name in PROJECT["dependencies"])
BUDGETS = read(FILE.read_text())
# The pyc flag for a source hash that is not checked (PEP 552).
UNCHECKED_HASH = 0b01


@pytest.mark.parametrize("name", FUNCTIONS)
def test_handler_needs_only_its_function_and_layer(built: dict[str, Any], name: str) -> None:
    """GIVEN the built function and its layer WHEN Lambda's Python imports the handler THEN nothing is missing."""
    properties = built["Resources"][name]["Properties"]
    function, handler = BUILD / properties["CodeUri"], properties["Handler"]

    imported = imports(name)

    assert imported.handler_is_callable
    outside = {
        module: file
        for module, file in imported.files.items()
        if not any(Path(file).is_relative_to(folder) for folder in imported.allowed)
    }
    assert not outside
    assert Path(imported.files[handler.rpartition(".")[0]]).is_relative_to(function)
    from_layer = {module for module, file in imported.files.items() if Path(file).is_relative_to(LAYER)}
    assert "shared" in {module.partition(".")[0] for module in from_layer}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.usefixtures("built")
def test_function_imports_its_budget(name: str) -> None:
    imported = imports(name)
    different = differences(BUDGETS.get(name, Budget()), Budget.of(imported, LAYER), imported)
    assert not different, "\n".join([name, *different, f"If that is intended: {COMMAND}"])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.usefixtures("built")
def test_no_function_shows_an_openapi_page(name: str) -> None:
    """The page's script and style sheet are not in the layer."""
    loaded = {module for module in imports(name).modules if module.startswith("aws_lambda_powertools.event_handler")}
    assert loaded == set()
    assert not list(LAYER.glob("aws_lambda_powertools/event_handler/openapi/swagger_ui/*.min.*"))


def test_every_function_of_the_template_is_built(built: dict[str, Any]) -> None:
    assert {name for name in built["Resources"] if name.endswith("Function")} == set(FUNCTIONS)


@pytest.mark.parametrize("package", [*DEPENDENCIES, "botocore"])
@pytest.mark.usefixtures("built")
def test_layer_contains_the_locked_packages(package: str) -> None:
    """Lambda's own botocore can change without notice."""
    assert (LAYER / package / "__init__.py").exists()


@pytest.mark.usefixtures("built")
def test_layer_contains_only_locked_versions() -> None:
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
def test_scanners_can_read_every_package() -> None:
    """Amazon Inspector reads METADATA. RECORD would list files that are not in the layer."""
    for folder in LAYER.glob("*.dist-info"):
        assert (folder / "METADATA").exists(), folder
        assert (folder / "WHEEL").exists(), folder
        assert not (folder / "RECORD").exists(), folder


@pytest.mark.usefixtures("built")
def test_byte_code_is_shipped() -> None:
    """Without byte code, or with the files' times to be checked, each cold start would compile every module.

    Tracebacks show the paths in the byte code, so they are Lambda's.
    """
    for root, folders in {"/var/task": BUILD.glob("*Function"), "/opt": BUILD.glob("*Layer")}.items():
        sources = {source: source.relative_to(folder) for folder in folders for source in folder.rglob("*.py")}
        assert sources
        for source, name in sources.items():
            code = (source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc").read_bytes()
            assert struct.unpack("<4xI", code[:8])[0] == UNCHECKED_HASH, source
            assert f"{root}/{name}".encode() in code, source


def test_every_function_contains_the_layers_digest() -> None:
    """A release with a new layer is new code of every function, so that SAM publishes versions with that layer."""
    digest = sha256()
    for path in sorted(path for path in LAYER.parent.rglob("*") if path.is_file()):
        line = f"{path.relative_to(LAYER.parent).as_posix()}\0{sha256(path.read_bytes()).hexdigest()}\n"
        digest.update(line.encode())
    assert {(BUILD / name / "layer.sha256").read_text() for name in FUNCTIONS} == {digest.hexdigest()}
