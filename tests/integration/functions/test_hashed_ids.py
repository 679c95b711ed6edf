"""With HASH_IDS_IN_LOGS, log lines contain an HMAC of a customer id instead of the id."""

import hmac
import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import boto3
import pytest

from shared.runtime import secrets
from shared.runtime.observability import logger
from tests.conftest import App
from tests.integration.faults.proxy import Proxy, dropped
from tests.payloads import webhook_about

LOG_KEY = "a-key-for-ids"
CUSTOMER_ID = "dave@example.com"


@pytest.fixture
def log_key(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Store a key in the deployment's secret, and switch hashing on."""
    client, secret_id = boto3.client("secretsmanager"), app.stack.template.physical_id("CodatSecret")
    value = client.get_secret_value(SecretId=secret_id)["SecretString"]
    client.put_secret_value(SecretId=secret_id, SecretString=json.dumps({**json.loads(value), "logKey": LOG_KEY}))
    secrets.secrets.cache_clear()
    monkeypatch.setenv("HASH_IDS_IN_LOGS", "true")
    yield LOG_KEY
    client.put_secret_value(SecretId=secret_id, SecretString=value)
    secrets.secrets.cache_clear()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    stream = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return stream


def lines(log: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def live(app: App) -> None:
    """Take a customer through every route, an event and a reconcile, with some errors."""
    customer = app.customer(CUSTOMER_ID)
    connection = app.linked(CUSTOMER_ID)
    path = f"/customers/{CUSTOMER_ID}"
    for method, url, body in (
        ("GET", path, None),
        ("GET", f"{path}/connections", None),
        ("PATCH", path, {"name": "Dave's Bank"}),
        ("POST", "/customers", {"customerId": CUSTOMER_ID, "name": "Other"}),
        ("POST", f"{path}/link", None),
        ("POST", f"{path}/access-token", None),
        ("POST", f"{path}/connections/none/unlink", None),
        ("POST", f"{path}/connections/{connection['connectionId']}/unlink", None),
    ):
        app.http.request(method, url, json=body)
    app.deliver(
        webhook_about(
            "connection.connected", company_id=customer["companyId"], connection_id=connection["connectionId"]
        )
    )
    app.http.post("/_local/reconcile")
    app.http.delete(path)
    app.http.get(path)


def test_no_line_contains_the_id(app: App, log_key: str, log: StringIO) -> None:
    """GIVEN an id that is an e-mail address THEN it is in no line, and the lines have its HMAC instead."""
    live(app)
    logged = lines(log)
    assert not [line for line in logged if CUSTOMER_ID in json.dumps(line)]
    hashed = hmac.new(log_key.encode(), CUSTOMER_ID.encode(), "sha256").hexdigest()[:16]
    answered = [line for line in logged if line["message"] == "answered" and "/customers/" in line["route"]]
    assert len(answered) > 8
    assert {line["customer_id"] for line in answered} == {hashed}
    assert any(hashed in line.get("detail", "") for line in logged)


def test_errors_of_a_reconcile_do_not_contain_it(app: App, codat_wire: Proxy, log_key: str, log: StringIO) -> None:
    assert log_key
    app.customer(CUSTOMER_ID)
    codat_wire.always(dropped)
    app.http.post("/_local/reconcile")
    codat_wire.heal()
    assert not [line for line in lines(log) if CUSTOMER_ID in json.dumps(line)]


def test_without_a_key_the_id_is_left_out(app: App, monkeypatch: pytest.MonkeyPatch, log: StringIO) -> None:
    """GIVEN a secret without `logKey` THEN no line has the id in clear text."""
    monkeypatch.setenv("HASH_IDS_IN_LOGS", "true")
    app.customer(CUSTOMER_ID)
    [line] = [line for line in lines(log) if line["message"] == "answered" and "customer_id" in line]
    assert line["customer_id"] == "hidden"


def test_by_default_the_id_is_logged(app: App, log: StringIO) -> None:
    app.customer(CUSTOMER_ID)
    assert [line for line in lines(log) if line.get("customer_id") == CUSTOMER_ID]
