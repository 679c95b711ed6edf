"""The stack as a whole, with fake handlers."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import boto3
import httpx
import pytest

from local.aws.moto_server import moto_server
from local.aws.publisher import Publisher
from local.gateway.exchanges import Exchanges
from local.gateway.server import bind
from local.running import Stack
from local.settings import LocalSettings
from local.stack import running_stack
from local.template import Template

ENVIRONMENT = {"PORT": "0"}


def stub(event: dict[str, Any], _: Any) -> Any:
    return {"statusCode": 204 if event["rawPath"].startswith("/webhooks") else 200, "body": os.environ["TABLE_NAME"]}


HANDLERS = dict.fromkeys(Template.load().functions, stub)


@pytest.fixture
def settings() -> LocalSettings:
    return LocalSettings.from_environment(ENVIRONMENT)


@pytest.fixture
def stack(settings: LocalSettings) -> Iterator[Stack]:
    with running_stack(settings, handlers=HANDLERS) as running:
        yield running


def test_the_environment_of_the_functions(stack: Stack) -> None:
    """GIVEN a running stack THEN the template's variables, endpoints and fake credentials are set."""
    assert httpx.get(f"{stack.url}/platforms").text == stack.table_name
    assert os.environ["CODAT_BASE_URL"] == stack.codat_url
    assert os.environ["AWS_ACCESS_KEY_ID"].isalnum()
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["CODAT_SECRET_ID"])
    assert json.loads(secret["SecretString"]) == {
        "apiKey": stack.settings.codat_api_key,
        "webhookSecrets": list(stack.settings.webhook_secrets),
    }
    described = boto3.client("dynamodb").describe_table(TableName=stack.table_name)["Table"]
    assert {index["IndexName"] for index in described["GlobalSecondaryIndexes"]} == {
        "byAttention",
        "byCustomer",
        "byStatus",
    }


def test_the_environment_is_restored(settings: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """WHEN the stack stops THEN every variable has its earlier value, and the port is free."""
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.delenv("TABLE_NAME", raising=False)
    before = dict(os.environ)
    with running_stack(settings, handlers=HANDLERS) as stack:
        assert "AWS_PROFILE" not in os.environ
    assert dict(os.environ) == before
    bind(int(stack.url.rpartition(":")[2])).close()


def test_each_stack_starts_empty(settings: LocalSettings) -> None:
    """GIVEN a stack that stored an item WHEN the process starts another THEN its table is empty."""
    with running_stack(settings, handlers=HANDLERS) as stack:
        stack.dynamodb.put_item(TableName=stack.table_name, Item={"pk": {"S": "a"}, "sk": {"S": "b"}})
        assert len(httpx.get(f"{stack.url}/_local/table").json()) == 1
    with running_stack(settings, handlers=HANDLERS) as stack:
        assert httpx.get(f"{stack.url}/_local/table").json() == []


def test_a_stack_inside_another_doesnt_change_it(settings: LocalSettings) -> None:
    """WHEN the inner stack has ended THEN the outer stack serves again, with its items."""
    item: Any = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    with running_stack(settings, handlers=HANDLERS) as outer:
        outer.dynamodb.put_item(TableName=outer.table_name, Item=item)
        with running_stack(settings, handlers=HANDLERS) as inner:
            assert httpx.get(f"{inner.url}/_local/table").json() == []
        assert httpx.get(f"{outer.url}/_local/table").json() == [{"pk": "a", "sk": "b"}]
        assert os.environ["CODAT_BASE_URL"] == outer.codat_url


def test_the_table_as_json(stack: Stack) -> None:
    """Numbers are numbers, binary is base64, sets are sorted lists."""
    item: Any = {
        "pk": {"S": "a"},
        "sk": {"S": "b"},
        "version": {"N": "3"},
        "ratio": {"N": "0.5"},
        "body": {"B": b"\xff\x00"},
        "keys": {"SS": ["z", "y"]},
        "tags": {"M": {"list": {"L": [{"N": "1"}, {"NULL": True}]}}},
    }
    stack.dynamodb.put_item(TableName=stack.table_name, Item=item)
    assert httpx.get(f"{stack.url}/_local/table").json() == [
        {
            "pk": "a",
            "sk": "b",
            "version": 3,
            "ratio": 0.5,
            "body": "/wA=",
            "keys": ["y", "z"],
            "tags": {"list": [1, None]},
        }
    ]


def test_no_concurrent_update_is_lost(stack: Stack) -> None:
    """GIVEN 8 threads that add 1 to a number 80 times in all THEN it is 80."""

    def add(_: int) -> None:
        stack.dynamodb.update_item(
            TableName=stack.table_name,
            Key={"pk": {"S": "n"}, "sk": {"S": "n"}},
            UpdateExpression="ADD amount :increment",
            ExpressionAttributeValues={":increment": {"N": "1"}},
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(80)))
    [item] = httpx.get(f"{stack.url}/_local/table").json()
    assert item["amount"] == 80


def test_the_simulators_webhooks_arrive(settings: LocalSettings) -> None:
    """WHEN a company is created in the simulator THEN the API receives the signed event."""
    exchanges = Exchanges()
    with running_stack(settings, handlers=HANDLERS, on_exchange=exchanges.add) as stack:
        assert stack.codat is not None
        headers = {"authorization": stack.codat.authorization}
        httpx.post(f"{stack.codat_url}/companies", json={"name": "Acme"}, headers=headers).raise_for_status()
        webhook = exchanges.wait_for(lambda exchange: exchange.webhook_event() is not None, 5)
    assert webhook is not None
    assert webhook.status == 204
    assert webhook.headers["webhook-signature"].startswith("v1,")


def test_an_invalid_webhook_has_no_event(settings: LocalSettings) -> None:
    """GIVEN bodies that are too deep or no JSON THEN the handler's response is sent."""
    exchanges = Exchanges()
    with running_stack(settings, handlers=HANDLERS, on_exchange=exchanges.add) as stack:
        for body in (b"[" * 100_000, b"\xff", b"7"):
            assert httpx.post(f"{stack.url}/webhooks/codat", content=body).status_code == 204
    assert [exchange.webhook_event() for exchange in exchanges.all()] == [None] * 3


def test_with_codat_base_url_the_simulator_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN CODAT_BASE_URL THEN the functions use that Codat."""
    for name in [name for name in sys.modules if name.startswith("codat_simulator")]:
        monkeypatch.delitem(sys.modules, name)
    settings = LocalSettings.from_environment(
        {**ENVIRONMENT, "CODAT_BASE_URL": "http://127.0.0.1:9", "CODAT_API_KEY": "key"}
    )
    with running_stack(settings, handlers=HANDLERS) as stack:
        assert stack.codat is None
        assert os.environ["CODAT_BASE_URL"] == "http://127.0.0.1:9"
        assert not any(name.startswith("codat_simulator") for name in sys.modules)
        assert httpx.get(f"{stack.url}/_local/codat/faults").status_code == 404


def test_another_dynamodb_is_used_with_the_users_access_key(
    settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN AWS_ENDPOINT_URL_DYNAMODB WHEN the stack starts again THEN it uses the existing table."""
    with moto_server() as url:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "USER")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "user")
        for _ in range(2):
            with running_stack(replace(settings, dynamodb_endpoint=url), handlers=HANDLERS) as stack:
                assert os.environ["AWS_ENDPOINT_URL_DYNAMODB"] == url
                assert os.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"] != url
                assert os.environ["AWS_ACCESS_KEY_ID"] == "USER"
                key = {"pk": {"S": "kept"}, "sk": {"S": "kept"}}
                stack.dynamodb.put_item(TableName=stack.table_name, Item=key)


def test_a_remote_dynamodb_gets_the_users_credentials(settings: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake credentials are for servers on this machine only."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "USER")
    monkeypatch.setattr("local.stack.create_table", lambda *_: True)
    monkeypatch.setattr("local.stack._publisher", lambda *_, **__: Publisher(lambda: iter(()), bool, bool))
    remote = replace(settings, dynamodb_endpoint="https://dynamodb.eu-west-1.amazonaws.com")
    with running_stack(remote, handlers=HANDLERS):
        assert os.environ["AWS_ACCESS_KEY_ID"] == "USER"


def test_a_failed_start_restores_the_environment(settings: LocalSettings) -> None:
    """GIVEN a port in use THEN the start fails, and every variable has its earlier value."""
    before = dict(os.environ)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stack = running_stack(replace(settings, port=server.getsockname()[1]), handlers=HANDLERS)
        with pytest.raises(OSError, match="in use"):
            stack.__enter__()
    assert dict(os.environ) == before
