"""Packages of npm that tests use. npm installs them once, under `.cache/npm`."""

import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import pytest

_CACHE = Path(__file__).parent.parent / ".cache" / "npm"
_INSTALL = (
    *("npm", "install", "--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--prefer-offline"),
    # By default npm waits 5 minutes for a stalled download.
    *("--fetch-timeout=15000", "--fetch-retry-mintimeout=1000", "--prefix"),
)
_INSTALL_SECONDS = 120


def npm_packages(*packages: str) -> Path:
    """Return the `node_modules` with these packages, each `name@version`. Skip the test without npm."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("needs npm and node")
    folder = _CACHE / "+".join(packages).replace("/", "-")
    if not folder.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        # Other processes of the tests may install the same: the folder appears when it is complete.
        new = Path(mkdtemp(dir=_CACHE))
        try:
            subprocess.run([*_INSTALL, new, *packages], capture_output=True, check=True, timeout=_INSTALL_SECONDS)
        except subprocess.SubprocessError:
            shutil.rmtree(new, ignore_errors=True)
            pytest.skip("needs npm's registry")
        try:
            new.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(new)
    return folder / "node_modules"
