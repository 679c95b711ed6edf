"""The TypeScript of docs/embedding.md compiles against the types of Codat's Link SDK."""

import re
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e.docs.markdown import ROOT, fenced
from tests.npm import npm_packages

PAGE = (ROOT / "docs" / "embedding.md").read_text()
PACKAGES = ("@codat/sdk-link-types@1.10.1", "typescript@5.9.3")
MAX_LINES = 80

# The JavaScript function of docs/calling.md.
CALL = "export declare function call(method: string, path: string, body?: unknown): Promise<Response>;\n"
OPTIONS = ("--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler")


@pytest.fixture(scope="module")
def compiler() -> Path:
    """The TypeScript compiler, beside the types."""
    return npm_packages(*PACKAGES) / "typescript" / "bin" / "tsc"


def compile_page(compiler: Path, folder: Path, page: str) -> str:
    """Return the compiler's errors."""
    names = []
    for code in map(dedent, fenced(page, "ts")):
        [name] = re.findall(r"\A// (\w+\.ts)\n", code)
        (folder / name).write_text(code)
        names.append(name)
    (folder / "call.d.ts").write_text(CALL)
    (folder / "node_modules").symlink_to(compiler.parents[2])
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
