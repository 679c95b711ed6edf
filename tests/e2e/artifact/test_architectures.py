"""Compiled libraries are built for the processor of the deployment, and not for the machine that builds."""

import struct
from pathlib import Path

import pytest

from tests.e2e.artifact.make import ARCHITECTURE, BUILD, ROOT, make

# The field e_machine in a shared library's header, and the processor's name in wheels.
ELF_MACHINES = {"x86_64": 62, "arm64": 183}
PLATFORMS = {"x86_64": "x86_64", "arm64": "aarch64"}
[OTHER] = set(ELF_MACHINES) - {ARCHITECTURE}


@pytest.mark.usefixtures("built")
def test_libraries_match_this_processor() -> None:
    """Only the layer contains any, so the next test has to build nothing else."""
    check_libraries(BUILD, ARCHITECTURE)
    assert {library.relative_to(BUILD).parts[0] for library in BUILD.rglob("*.so*")} == {"SharedLayer"}


@pytest.mark.usefixtures("built")
def test_libraries_match_the_other_processor() -> None:
    """WHEN the layer is built for another processor THEN no library is for this machine's."""
    build = BUILD.with_name("other")
    make("package", f"ARCH={OTHER}", f"BUILD={build.relative_to(ROOT)}", "RESOURCE=SharedLayer")
    check_libraries(build, OTHER)


def check_libraries(build: Path, architecture: str) -> None:
    libraries = list(build.rglob("*.so*"))
    assert libraries
    for library in libraries:
        assert struct.unpack_from("<H", library.read_bytes()[:20], 18)[0] == ELF_MACHINES[architecture], library
    tags = {line for wheel in build.rglob("WHEEL") for line in wheel.read_text().splitlines() if line[:4] == "Tag:"}
    assert {tag for tag in tags if not tag.endswith(("-any", PLATFORMS[architecture]))} == set()
