"""Run the project's make targets, as users do."""

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[3]
# The artifact for this machine's processor.
BUILD = ROOT / ".aws-sam/host"
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
SAM = ROOT / ".sam/bin"
RUNTIME = SAM / "python3.13"
_NOTHING: Mapping[str, str] = MappingProxyType({})


def make(*arguments: str, cwd: Path = ROOT, umask: int = -1, environment: Mapping[str, str] = _NOTHING) -> None:
    """Run make. Raises RuntimeError with its output if it fails. A negative `umask` is this process's own."""
    # Under `make test`, the flags and variables of the outer make would apply to the inner make.
    outer = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKEOVERRIDES"}}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=cwd,
        env={**outer, **environment},
        umask=umask,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"make {' '.join(arguments)} failed:\n{done.stdout}")
