"""What a function keeps is built in the init phase, and no secret is in SnapStart's snapshot."""

import gc
import json
from typing import Any

import pytest
import snapshot_restore_py
from botocore.exceptions import EndpointConnectionError

from shared.bootstrap import init_phase
from shared.runtime.secrets import Secrets


class SecretsManager:
    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.reads = 0
        self.is_connected = False

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        self.reads += 1
        if self.fails:
            raise EndpointConnectionError(endpoint_url="https://secretsmanager")
        self.is_connected = True
        return {"SecretString": json.dumps({"apiKey": "the-key", "webhookSecrets": ["whsec_1"]})}

    def close(self) -> None:
        self.is_connected = False


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    registered: list[Any] = []
    monkeypatch.setattr(snapshot_restore_py, "_before_snapshot_registry", registered)
    return registered


def deployed(client: SecretsManager, monkeypatch: pytest.MonkeyPatch) -> Secrets:
    secret = Secrets("id", client)
    monkeypatch.setattr(init_phase, "secrets", lambda: secret)
    return secret


def test_everything_is_built_and_the_secret_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    client = SecretsManager()
    secret, built = deployed(client, monkeypatch), []
    gc.disable()
    init_phase.initialize(lambda: built.append("client"), lambda: built.append("settings"), needs_secret=True)
    assert (built, client.reads) == (["client", "settings"], 1)
    assert gc.isenabled()
    assert secret.api_key() == "the-key"
    assert client.reads == 1


def test_a_secret_that_cannot_be_read_does_not_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first invocation reads it again, and reports the error to its caller."""
    client = SecretsManager(fails=True)
    secret = deployed(client, monkeypatch)
    init_phase.initialize(needs_secret=True)
    client.fails = False
    assert secret.api_key() == "the-key"


def test_no_secret_and_no_connection_is_in_a_snapshot(hooks: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """WHEN the runtime's hooks run THEN the secret is gone from memory, and is read again after the restore."""
    client = SecretsManager()
    secret = deployed(client, monkeypatch)
    init_phase.initialize(needs_secret=True)
    for hook, arguments, options in hooks:
        hook(*arguments, **options)
    assert not client.is_connected
    assert "the-key" not in repr(vars(secret))
    assert secret.api_key() == "the-key"
    assert client.reads == 2


def test_a_function_without_the_secret_does_not_read_it(hooks: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    client = SecretsManager()
    deployed(client, monkeypatch)
    init_phase.initialize()
    assert (client.reads, hooks) == (0, [])
