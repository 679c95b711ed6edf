"""`make log-id` prints how log lines name a customer."""

import json
from io import StringIO

import pytest

from shared.runtime import secrets
from shared.runtime.observability import logger
from tests.integration.cli.conftest import Operator


def test_the_printed_hash_is_the_one_in_the_log(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a deployment that hashes ids WHEN a customer is read THEN its log lines contain what the command prints."""
    operator.store_secret({**operator.stored_secret, "logKey": "a-key-for-ids"})
    monkeypatch.setenv("HASH_IDS_IN_LOGS", "true")
    log = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    operator.app.get("/customers/dave@example.com")
    [hashed] = {line["customer_id"] for line in map(json.loads, log.getvalue().splitlines()) if "customer_id" in line}
    assert operator.run("log-id", CUSTOMER="dave@example.com") == (0, f"{hashed}\n")


def test_without_a_key_the_command_says_how_to_store_one(operator: Operator) -> None:
    operator.store_secret({"apiKey": "", "webhookSecrets": []})
    secrets.secrets.cache_clear()
    status, output = operator.run("log-id", CUSTOMER="dave@example.com")
    assert status == 1
    assert "make rotate-webhook-secret stores one" in output
