"""Fail a test whose logs contain a secret, a token, a link or personal data.

Secrets and personal data are collected from the calls to AWS: secret values for the rest of the run, because functions
cache them; names, descriptions, tags and error texts of items until the test ends. Links and tokens are recognized by
patterns.
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

PATTERNS = {
    "a link": re.compile(r"\botp=|\b[0-9a-f]{8}\.[0-9a-f]{16}\.[0-9a-f]{32}\b"),
    "an invitation's token": re.compile(r"(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{43}(?![\w-])"),
    "a signing secret": re.compile(r"whsec_[\w+/]{8}"),
    "an access token or a key": re.compile(r"Basic \w|Bearer \w|\b(?=[\w-]*[A-Z])(?=[\w-]*\d)[A-Za-z0-9_-]{101,}\b"),
}
_PERSONAL = ("name", "description", "tags", "error", "reportedError")
_PROFILES = ("confirmedProfile", "before", "discarded")
"""Attributes that contain another name, description and tags."""
_MIN_LENGTH = 9
"""A shorter text may be in a log by chance."""

_secrets: dict[str, str] = {}
_personal: dict[str, str] = {}
"""Both map a private text to its description."""
_logged: list[str] = []


def disclosed(text: str, private: Mapping[str, str]) -> list[str]:
    """Return descriptions of the private data in `text`."""
    return [
        *(description for value, description in private.items() if len(value) >= _MIN_LENGTH and value in text),
        *(description for description, pattern in PATTERNS.items() if pattern.search(text)),
    ]


def secrets_in(params: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the secret values in a call to Secrets Manager, with their descriptions."""
    try:
        secret = Content.model_validate_json(params.get("SecretString") or answer.get("SecretString") or "")
    except ValidationError:
        return
    yield secret.api_key, "the API key"
    yield b64encode(secret.api_key.encode()).decode(), "the API key"
    for signing in secret.webhook_secrets:
        yield signing.removeprefix("whsec_"), "a signing secret"


def personal_data_in(operation: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the personal data in a call to DynamoDB, with descriptions."""
    items = [part["Put"]["Item"] for part in params.get("TransactItems", ()) if "Put" in part]
    if operation == "PutItem":
        items.append(params["Item"])
    for item in items:
        for attributes in (item, *(item.get(profile, {}).get("M", {}) for profile in _PROFILES)):
            for attribute in _PERSONAL:
                for value in _texts(attributes.get(attribute, {})):
                    # As a line of JSON contains it.
                    yield json.dumps(value, ensure_ascii=False)[1:-1], f"the {attribute} of {item['sk']['S']}"


def _texts(value: Mapping[str, Any]) -> Iterator[str]:
    if "S" in value:
        yield value["S"]
    for inner in value.get("M", {}).values():
        yield from _texts(inner)


class _LogCollector(logging.Handler):
    """Collect the lines of all loggers as CloudWatch gets them, with tracebacks. Lambda's handler does the same."""

    def emit(self, record: logging.LogRecord) -> None:
        _logged.append(logger.registered_formatter.format(record))


def pytest_configure() -> None:
    logging.getLogger().addHandler(_LogCollector())
    make_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def recording(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        # Before the call, because an error may be logged together with the item.
        _personal.update(personal_data_in(operation, params))
        answer = make_api_call(client, operation, params)
        _secrets.update(secrets_in(params, answer))
        return answer

    BaseClient._make_api_call = recording  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "teardown":
        metrics = [line for _, text in report.sections for line in text.splitlines() if line.startswith("{")]
        disclosures = disclosed("\n".join([*_logged, *metrics]), _secrets | _personal)
        _logged.clear()
        _personal.clear()
        if disclosures:
            report.outcome, report.longrepr = "failed", f"{item.nodeid} logged {', '.join(sorted(set(disclosures)))}"
    return report
