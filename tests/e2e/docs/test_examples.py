"""The curl examples of the documents print what the documents show, pasted line by line into a shell."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.conftest import App
from tests.e2e.docs.markdown import ROOT, Command, commands

TERMINALS = (
    ("README.md",),
    ("docs/get-started.md", "docs/invitations.md", "docs/integrate.md", "docs/local.md", "docs/api.md"),
)
"""The pages of a terminal, in order: each continues after the one before."""
MIN_EXAMPLES = {1: 4, 5: 20}
"""By the number of pages."""

# Ids, times and links differ from one run to the next.
_VARYING = re.compile(r"https?://[^\s\"]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d{2}-\d{2}T[\d:.]+Z")
_VERSION = re.compile(r"\b\d{13}\b")
_LEFT_OUT = re.compile(r",\s*(?:\"\w+\": )?…(?=[,}\]])|(?:\"\w+\": )?…,?\s*")
# Long enough for webhooks to arrive in the order that the documents show.
_INITIAL_READ_SECONDS = 0.2
_END = "--- end of the output, status "


class Shell:
    """A shell that runs one line after the other, so that variables and functions stay."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, line: str) -> str:
        """Return what the line prints. Fails if its exit status is not 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{ {line}\n}} </dev/null; printf '\\n{_END}%s\\n' $?\n")
        self._process.stdin.flush()
        output = ""
        for printed in self._process.stdout:
            if printed.startswith(_END):
                assert printed == f"{_END}0\n", f"{line}\n{output}"
                return output.strip()
            output += printed
        raise AssertionError(f"the shell ended at {line}")


@pytest.fixture
def shell() -> Iterator[Shell]:
    with subprocess.Popen(
        ["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, encoding="utf-8"
    ) as process:
        yield Shell(process)
        process.kill()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("pages", TERMINALS, ids=lambda pages: pages[0])
def test_the_examples_print_what_is_shown(
    pages: tuple[str, ...], app: App, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN `make run` THEN status, headers and fields are as shown; an ellipsis stands for more of them."""
    monkeypatch.setattr(app.codat, "settings", replace(app.codat.settings, initial_read=_INITIAL_READ_SECONDS))
    of_the_document = {"http://127.0.0.1:3000": app.stack.url, "local-key": app.stack.settings.codat_api_key}
    shown = (each for page in pages for each in commands((ROOT / page).read_text()))
    examples = [each for each in shown if not each.line.startswith("make ")]  # other tests run these
    assert sum("curl" in example.line for example in examples) >= MIN_EXAMPLES[len(pages)]
    for example in examples:
        line = example.line
        for stated, actual in of_the_document.items():
            line = line.replace(stated, actual)
        printed = shell.run(line)
        app.codat.wait_idle()
        _compare(example, printed)


def _compare(example: Command, printed: str) -> None:
    shown, answer = example.shown, printed
    if shown.startswith("HTTP/"):
        head, _, shown = shown.partition("\n\n")
        actual_head, _, answer = printed.partition("\n\n")
        assert set(_steady(head).splitlines()) <= set(_steady(actual_head).splitlines()), f"{example.line}\n{printed}"
    if not shown.startswith(("{", "[")):
        assert answer == shown, example.line
        return
    expected, actual = json.loads(_steady(_LEFT_OUT.sub("", shown))), json.loads(_steady(answer))
    assert _matches(expected, actual, whole="…" not in shown), f"{example.line}\n{answer}"


def _steady(text: str) -> str:
    return _VERSION.sub("0", _VARYING.sub("VARYING", text))


def _matches(shown: Any, actual: Any, *, whole: bool) -> bool:
    match shown, actual:
        case dict(), dict():
            named = shown.keys() == actual.keys() if whole else shown.keys() <= actual.keys()
            return named and all(_matches(value, actual[key], whole=whole) for key, value in shown.items())
        case list(), list() if whole:
            return len(shown) == len(actual) and all(map(partial(_matches, whole=True), shown, actual))
        case list(), list():
            return all(any(_matches(item, other, whole=False) for other in actual) for item in shown)
        case _:
            return bool(shown == actual)
