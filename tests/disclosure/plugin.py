"""What every test logs is searched for what must never be in a log: secrets, tokens, links, personal data.

Everything that anybody stores in the meantime is known: the secret's values, and the names, descriptions, tags and
reasons of the items that are written. Links and tokens are known by their form.
"""

from __future__ import annotations

import json
import logging
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

from shared.runtime.observability import logger

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

FORMS = {
    "a link": re.compile(r"\botp=|\b[0-9a-f]{8}\.[0-9a-f]{16}\.[0-9a-f]{32}\b"),
    "a signing secret": re.compile(r"whsec_[\w+/]{8}"),
    "an access token, or a key": re.compile(r"Basic \w|Bearer \w|\b(?=[\w-]*[A-Z])(?=[\w-]*\d)[A-Za-z0-9_-]{101,}\b"),
}
_PERSONAL = ("name", "description", "tags", "reason")
_SHORTEST = 9
"""What is shorter may stand in a log by chance."""

_known: dict[str, str] = {}
"""What was stored during this test, and what it is."""
_logged: list[str] = []


def disclosed(text: str, known: Mapping[str, str]) -> list[str]:
    """What is in there that shouldn't be."""
    return [
        *(what for value, what in known.items() if len(value) >= _SHORTEST and value in text),
        *(what for what, form in FORMS.items() if form.search(text)),
    ]


def learn(operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The values in a call to AWS that are not for a log, with what they are."""
    if secret := params.get("SecretString") or answer.get("SecretString"):
        try:
            api_key = json.loads(secret)["apiKey"]
        except (ValueError, KeyError, TypeError):
            return
        if isinstance(api_key, str):
            yield api_key, "the API key"
            yield b64encode(api_key.encode()).decode(), "the API key"
    items = [part["Put"]["Item"] for part in params.get("TransactItems", ()) if "Put" in part]
    if operation == "PutItem":
        items.append(params["Item"])
    for item in items:
        for attribute in _PERSONAL:
            for value in _texts(item.get(attribute, {})):
                yield value, f"the {attribute} of {item['sk']['S']}"


def _texts(value: Mapping[str, Any]) -> Iterator[str]:
    if "S" in value:
        yield value["S"]
    for inner in value.get("M", {}).values():
        yield from _texts(inner)


class _Listener(logging.Handler):
    """Notes lines as CloudWatch gets them, tracebacks included."""

    def emit(self, record: logging.LogRecord) -> None:
        _logged.append(logger.registered_formatter.format(record))


def pytest_configure() -> None:
    logger.addHandler(_Listener())
    make_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def noting(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        answer = make_api_call(client, operation, params)
        _known.update(learn(operation, params, answer))
        return answer

    BaseClient._make_api_call = noting  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "teardown":
        metrics = [line for _, text in report.sections for line in text.splitlines() if line.startswith("{")]
        found = disclosed("\n".join([*_logged, *metrics]), _known)
        _logged.clear()
        _known.clear()
        if found:
            report.outcome, report.longrepr = "failed", f"{item.nodeid} logged {', '.join(sorted(set(found)))}"
    return report
