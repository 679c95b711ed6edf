"""Compiled libraries are those of the processor that the template is deployed for, not of the one that builds."""

import struct
from pathlib import Path

import pytest

from tests.e2e.artifact.make import ARCHITECTURE, BUILD, ROOT, make

# The field e_machine of a shared library's header, and what wheels call the processor.
ELF_MACHINES = {"x86_64": 62, "arm64": 183}
PLATFORMS = {"x86_64": "x86_64", "arm64": "aarch64"}
[OTHER] = set(ELF_MACHINES) - {ARCHITECTURE}


@pytest.mark.usefixtures("built")
def test_compiled_libraries_are_this_processors() -> None:
    """All of them in the layer: what holds of another processor's layer holds of all that is deployed for it."""
    holds_libraries_of(BUILD, ARCHITECTURE)
    assert {library.relative_to(BUILD).parts[0] for library in BUILD.rglob("*.so*")} == {"SharedLayer"}


@pytest.mark.usefixtures("built")
def test_compiled_libraries_are_the_other_processors() -> None:
    """GIVEN a machine with one processor WHEN it builds the layer for the other THEN nothing of its own gets in."""
    build = BUILD.with_name("other")
    make("package", f"ARCH={OTHER}", f"BUILD={build.relative_to(ROOT)}", "RESOURCE=SharedLayer")
    holds_libraries_of(build, OTHER)


def holds_libraries_of(build: Path, architecture: str) -> None:
    libraries = list(build.rglob("*.so*"))
    assert libraries
    for library in libraries:
        assert struct.unpack_from("<H", library.read_bytes()[:20], 18)[0] == ELF_MACHINES[architecture], library
    tags = {line for wheel in build.rglob("WHEEL") for line in wheel.read_text().splitlines() if line[:4] == "Tag:"}
    assert {tag for tag in tags if not tag.endswith(("-any", PLATFORMS[architecture]))} == set()
