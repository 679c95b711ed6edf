"""Runs the project's own make targets, so that a test sees what a person gets."""

import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
# What the tests build, for this machine's processor.
BUILD = ROOT / ".aws-sam/host"
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
SAM = ROOT / ".sam/bin"
RUNTIME = SAM / "python3.13"


def make(*arguments: str) -> None:
    """Raises `RuntimeError` with make's output where it fails."""
    # Under `make test`, the outer make's own flags and variables would reach the inner one.
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKEOVERRIDES"}}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"make {' '.join(arguments)} failed:\n{done.stdout}")
