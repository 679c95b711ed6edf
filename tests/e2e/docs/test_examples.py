"""The README's curl examples, run in order: they print what it says."""

import argparse
import base64
import json
import re
import shlex
from dataclasses import replace
from functools import partial
from string import Template
from typing import Any

import httpx
import pytest

from tests.conftest import App
from tests.e2e.docs.markdown import ROOT, Command, commands, section

# What differs from one run to the next: ids, times, links.
_VARYING = re.compile(r"https?://[^\s\"]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d{2}-\d{2}T[\d:.]+Z")
_VERSION = re.compile(r"\b\d{13}\b")
# What the README has its reader copy from an answer.
_REMEMBERED = {"CONNECTION": "connectionId", "LINK": "linkUrl", "COMPANY": "id"}
# Long enough for webhooks to come in the order that the README tells.
_INITIAL_READ_SECONDS = 0.2
_LEFT_OUT = re.compile(r",\s*(?:\"\w+\": )?…(?=[,}\]])|(?:\"\w+\": )?…,?\s*")


def test_the_examples_answer_as_shown(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, the headers shown and every field shown; where something is left out there may be more."""
    monkeypatch.setattr(app.codat, "settings", replace(app.codat.settings, initial_read=_INITIAL_READ_SECONDS))
    variables = {
        "API": app.stack.url,
        "CODAT": app.stack.codat_url,
        "KEY": base64.b64encode(app.stack.settings.codat_api_key.encode()).decode(),
    }
    readme = (ROOT / "README.md").read_text()
    sections = ("Try it", "Being told of changes", "On one machine")
    examples = [one for name in sections for one in commands(section(readme, name)) if "curl" in one.line]
    assert len(examples) >= 18
    for example in examples:
        answer = _curl(example.line, variables)
        app.codat.wait_idle()
        _compare(example, answer)
        document = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        variables |= {name: document[key] for name, key in _REMEMBERED.items() if key in document}


def _curl(line: str, variables: dict[str, str]) -> httpx.Response:
    parser = argparse.ArgumentParser(prog="curl", exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-i", "-s", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-d", dest="data")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    command, *words = shlex.split(Template(line.partition(" | ")[0]).substitute(variables))
    assert command == "curl"
    arguments = parser.parse_args(words)
    headers = dict(header.split(": ", 1) for header in arguments.headers)
    if arguments.data is not None:
        headers.setdefault("content-type", "application/x-www-form-urlencoded")
    method = arguments.method or ("GET" if arguments.data is None else "POST")
    return httpx.request(method, arguments.url, content=arguments.data, headers=headers, timeout=40)


def _compare(example: Command, answer: httpx.Response) -> None:
    with_head = example.shown.startswith("HTTP/")
    head, _, body = example.shown.partition("\n\n") if with_head else ("", "", example.shown)
    if head:
        status, *headers = head.splitlines()
        assert status == f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}", example.line
        for name, value in (header.split(": ", 1) for header in headers):
            assert _steady(answer.headers[name]) == _steady(value)
    if not body.startswith(("{", "[")):
        assert all(line in answer.text for line in body.splitlines()), example.line
        return
    shown, actual = json.loads(_steady(_LEFT_OUT.sub("", body))), json.loads(_steady(answer.text))
    assert _holds(shown, actual, whole="…" not in body), f"{example.line}\n{answer.text}"


def _steady(text: str) -> str:
    return _VERSION.sub("0", _VARYING.sub("VARYING", text))


def _holds(shown: Any, actual: Any, *, whole: bool) -> bool:
    match shown, actual:
        case dict(), dict():
            named = shown.keys() == actual.keys() if whole else shown.keys() <= actual.keys()
            return named and all(_holds(value, actual[key], whole=whole) for key, value in shown.items())
        case list(), list() if whole:
            return len(shown) == len(actual) and all(map(partial(_holds, whole=True), shown, actual))
        case list(), list():
            return all(any(_holds(one, other, whole=False) for other in actual) for one in shown)
        case _:
            return bool(shown == actual)
