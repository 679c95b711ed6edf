"""Hashed customer ids in log lines; tests/integration/functions/test_hashed_ids.py has whole log lines."""

import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from shared.runtime import log_ids
from shared.runtime.secrets import Secrets


class UnreachableSecretsManager:
    def get_secret_value(self, **_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://secretsmanager")


def test_an_id_is_hidden_while_the_key_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """THEN the line is logged without the id, because it may be about that outage."""
    monkeypatch.setenv("HASH_IDS_IN_LOGS", "true")
    monkeypatch.setattr(log_ids, "secrets", lambda: Secrets("id", UnreachableSecretsManager()))
    assert json.loads(log_ids.serialize({"customer_id": "dave", "message": "refused"})) == {
        "customer_id": "hidden",
        "message": "refused",
    }
