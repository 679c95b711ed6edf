"""The README's curl examples, run in order: they print what it says."""

import argparse
import json
import re
import shlex
from string import Template
from typing import Any
from uuid import uuid4

import httpx

from tests.conftest import App
from tests.docs.markdown import ROOT, Command, commands, section

# What differs from one run to the next: ids, times, links.
_VARYING = re.compile(r"https?://[^\s\"]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d{2}-\d{2}T[\d:.]+Z")
# What the README has its reader copy from an answer.
_REMEMBERED = {"CONNECTION": "connectionId", "LINK": "linkUrl"}
_LEFT_OUT = re.compile(r",\s*…|…,?\s*")


def test_the_examples_answer_as_shown(app: App) -> None:
    """Status, the headers shown and every field shown; where fields are left out there may be more."""
    customer_id = f"acme-{uuid4()}"
    variables = {"API": app.stack.url}
    examples = [one for one in commands(section((ROOT / "README.md").read_text(), "Try it")) if "curl" in one.line]
    assert len(examples) >= 5
    for example in examples:
        answer = _curl(example.line.replace("acme", customer_id), variables)
        app.codat.wait_idle()
        text = answer.text.replace(customer_id, "acme")
        _compare(example, answer, text)
        document = answer.json() if "json" in answer.headers["content-type"] else {}
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


def _compare(example: Command, answer: httpx.Response, text: str) -> None:
    head, _, body = example.shown.rpartition("\n\n")
    if head:
        status, *headers = head.splitlines()
        assert status == f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}", example.line
        for name, value in (header.split(": ", 1) for header in headers):
            shown = answer.headers[name].replace(_customer(answer.headers[name]), "acme")
            assert _steady(shown) == _steady(value)
    if not body.startswith("{"):
        assert all(line in text for line in body.splitlines()), example.line
        return
    shown = json.loads(_steady(_LEFT_OUT.sub("", body)))
    _holds(shown, json.loads(_steady(text)), whole="…" not in body)


def _customer(location: str) -> str:
    return location.split("/")[2]


def _steady(text: str) -> str:
    return _VARYING.sub("VARYING", text)


def _holds(shown: Any, actual: Any, *, whole: bool) -> None:
    match shown, actual:
        case dict(), dict():
            assert shown.keys() == actual.keys() if whole else shown.keys() <= actual.keys()
            for key, value in shown.items():
                _holds(value, actual[key], whole=whole)
        case list(), list():
            assert len(shown) == len(actual) if whole else len(shown) <= len(actual)
            for one, other in zip(shown, actual, strict=False):
                _holds(one, other, whole=whole)
        case _:
            assert shown == actual
