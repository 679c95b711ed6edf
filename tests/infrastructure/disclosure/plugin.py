"""What every test logs is searched for what must never be in a log: secrets, tokens, links, personal data.

Everything that is stored is known: the secret's values from then on, as functions keep them, and until the test is over
the names, descriptions, tags and error texts of the items that are written. Links and tokens are known by their form.
"""

from __future__ import annotations

import json
import logging
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient
from pydantic import ValidationError

from shared.runtime.observability import logger
from shared.runtime.secrets import Content

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

FORMS = {
    "a link": re.compile(r"\botp=|\b[0-9a-f]{8}\.[0-9a-f]{16}\.[0-9a-f]{32}\b"),
    "a signing secret": re.compile(r"whsec_[\w+/]{8}"),
    "an access token, or a key": re.compile(r"Basic \w|Bearer \w|\b(?=[\w-]*[A-Z])(?=[\w-]*\d)[A-Za-z0-9_-]{101,}\b"),
}
_PERSONAL = ("name", "description", "tags", "error", "reportedError")
_PROFILES = ("confirmedProfile", "before", "discarded")
"""Attributes that contain another name, description and tags."""
_SHORTEST = 9
"""What is shorter may stand in a log by chance."""

_secrets: dict[str, str] = {}
_personal: dict[str, str] = {}
"""What was stored, and what it is."""
_logged: list[str] = []


def disclosed(text: str, known: Mapping[str, str]) -> list[str]:
    """What is in there that shouldn't be."""
    return [
        *(what for value, what in known.items() if len(value) >= _SHORTEST and value in text),
        *(what for what, form in FORMS.items() if form.search(text)),
    ]


def secrets_in(params: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The values in a call to Secrets Manager that are not for a log, with what they are."""
    try:
        secret = Content.model_validate_json(params.get("SecretString") or answer.get("SecretString") or "")
    except ValidationError:
        return
    yield secret.api_key, "the API key"
    yield b64encode(secret.api_key.encode()).decode(), "the API key"
    for signing in secret.webhook_secrets:
        yield signing.removeprefix("whsec_"), "a signing secret"


def personal_data_in(operation: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same of a call to DynamoDB."""
    items = [part["Put"]["Item"] for part in params.get("TransactItems", ()) if "Put" in part]
    if operation == "PutItem":
        items.append(params["Item"])
    for item in items:
        for attributes in (item, *(item.get(profile, {}).get("M", {}) for profile in _PROFILES)):
            for attribute in _PERSONAL:
                for value in _texts(attributes.get(attribute, {})):
                    # As it stands in a line of JSON.
                    yield json.dumps(value, ensure_ascii=False)[1:-1], f"the {attribute} of {item['sk']['S']}"


def _texts(value: Mapping[str, Any]) -> Iterator[str]:
    if "S" in value:
        yield value["S"]
    for inner in value.get("M", {}).values():
        yield from _texts(inner)


class _Listener(logging.Handler):
    """Notes lines as CloudWatch gets them, tracebacks included; whoever logs them, as Lambda's own handler does."""

    def emit(self, record: logging.LogRecord) -> None:
        _logged.append(logger.registered_formatter.format(record))


def pytest_configure() -> None:
    logging.getLogger().addHandler(_Listener())
    make_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def noting(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        # Before the call: what is not stored because of an error may be logged with it.
        _personal.update(personal_data_in(operation, params))
        answer = make_api_call(client, operation, params)
        _secrets.update(secrets_in(params, answer))
        return answer

    BaseClient._make_api_call = noting  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "teardown":
        metrics = [line for _, text in report.sections for line in text.splitlines() if line.startswith("{")]
        found = disclosed("\n".join([*_logged, *metrics]), _secrets | _personal)
        _logged.clear()
        _personal.clear()
        if found:
            report.outcome, report.longrepr = "failed", f"{item.nodeid} logged {', '.join(sorted(set(found)))}"
    return report
