"""The TypeScript of docs/embedding.md compiles against the types of Codat's Link SDK."""

import re
import shutil
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e.docs.markdown import ROOT, fenced

PAGE = (ROOT / "docs" / "embedding.md").read_text()
PACKAGES = ("@codat/sdk-link-types@1.10.1", "typescript@5.9.3")
CACHE = ROOT / ".cache" / "link-sdk"
MAX_LINES = 80

# The JavaScript function of docs/calling.md.
CALL = "export declare function call(method: string, path: string, body?: unknown): Promise<Response>;\n"
OPTIONS = ("--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler")


@pytest.fixture(scope="module")
def compiler() -> Path:
    """The TypeScript compiler, beside the types. npm installs both once."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("needs npm and node")
    stamp = CACHE / ".complete"
    if not stamp.exists() or stamp.read_text() != " ".join(PACKAGES):
        install = ["npm", "install", "--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--prefix", str(CACHE)]
        CACHE.mkdir(parents=True, exist_ok=True)
        finished = subprocess.run([*install, *PACKAGES], capture_output=True, text=True, check=False)
        if finished.returncode:
            pytest.skip("needs npm's registry")
        stamp.write_text(" ".join(PACKAGES))
    return CACHE / "node_modules" / "typescript" / "bin" / "tsc"


def compile_page(compiler: Path, folder: Path, page: str) -> str:
    """Return the compiler's errors."""
    names = []
    for code in map(dedent, fenced(page, "ts")):
        [name] = re.findall(r"\A// (\w+\.ts)\n", code)
        (folder / name).write_text(code)
        names.append(name)
    (folder / "call.d.ts").write_text(CALL)
    (folder / "node_modules").symlink_to(CACHE / "node_modules")
    command = ["node", compiler, *OPTIONS, *names]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_the_examples_compile(compiler: Path, tmp_path: Path) -> None:
    assert len(fenced(PAGE, "ts")) == 2
    assert compile_page(compiler, tmp_path, PAGE) == ""


def test_a_wrong_property_is_found(compiler: Path, tmp_path: Path) -> None:
    """The compiler does check the examples."""
    assert "onConnected" in compile_page(compiler, tmp_path, PAGE.replace("onConnection:", "onConnected:"))


def test_the_page_is_short() -> None:
    assert len(PAGE.splitlines()) <= MAX_LINES
