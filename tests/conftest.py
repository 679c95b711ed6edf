"""The whole stack, once a process: the real handlers behind the local gateway, moto, and the simulated Codat."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, Self
from uuid import uuid4

import httpx
import hypothesis
import pytest
import standardwebhooks.webhooks
import tenacity
from codat_simulator.server import CodatServer

from local.settings import LocalSettings, new_webhook_secret
from local.stack import Stack, clear_caches, running_stack
from shared import bootstrap
from shared.runtime import clock as runtime_clock
from shared.store.table import Table, unmarshal
from tests.integration.faults.proxy import Proxy
from tests.payloads import signed

# A test's time says more of the machine than of the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

pytest_plugins = ["tests.infrastructure.disclosure.plugin", "tests.infrastructure.permissions.plugin"]


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are processors: tests wait for webhooks and leases more than they compute."""
    return (os.cpu_count() or 1) * 3 // 2 or 1


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    settings = LocalSettings(
        codat_api_key="test-api-key-that-must-never-be-logged",
        webhook_secrets=(new_webhook_secret(), new_webhook_secret()),
        own_webhook_secrets=True,
        # `make test DYNAMODB_LOCAL=1` names a real one here.
        dynamodb_endpoint=os.environ.get("AWS_ENDPOINT_URL_DYNAMODB"),
        port=0,
    )
    with running_stack(settings) as running:
        assert running.codat is not None
        # Many tests wait for the first read of the data.
        running.codat.settings = replace(running.codat.settings, initial_read=0.01)
        yield running


@dataclass(frozen=True)
class App:
    """The app that uses the API, and the eyes of a test on what came of it."""

    http: httpx.Client
    stack: Stack
    codat: CodatServer

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.http.post(path, json=body) if body is not None else self.http.post(path)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def customer(self, customer_id: str | None = None) -> dict[str, Any]:
        """A new customer."""
        customer_id = customer_id or f"c-{uuid4()}"
        answer = self.post("/customers", {"customerId": customer_id, "name": "Bank of Dave"})
        assert answer.status_code == 201, answer.text
        customer: dict[str, Any] = answer.json()
        return customer

    def connection(self, customer_id: str, platform_key: str = "qhyg") -> dict[str, Any]:
        """A new connection, waiting for the customer."""
        answer = self.post(f"/customers/{customer_id}/connections", {"platformKey": platform_key})
        assert answer.status_code == 201, answer.text
        self.codat.wait_idle()
        connection: dict[str, Any] = answer.json()
        return connection

    def linked(self, customer_id: str, platform_key: str = "qhyg") -> dict[str, Any]:
        """A new connection that the customer has authorised."""
        connection = self.connection(customer_id, platform_key)
        self.codat.state.link(connection["companyId"], connection["connectionId"])
        self.codat.wait_idle()
        return self.read(connection)

    def read(self, connection: dict[str, Any]) -> dict[str, Any]:
        """The connection as the API shows it now."""
        answer = self.get(f"/customers/{connection['customerId']}/connections/{connection['connectionId']}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def deliver(self, body: dict[str, Any] | bytes, **signing: Any) -> httpx.Response:
        """A webhook, signed as Codat does."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        secret = signing.pop("secret", self.stack.settings.webhook_secrets[0])
        return self.http.post("/webhooks/codat", content=raw, headers=signed(raw, secret, **signing))

    def start_afresh(self) -> None:
        """Codat as at its start, and an empty table: moto copies all of it for every transaction."""
        self.codat.reset()
        bootstrap._trusted_api_keys.cache_clear()
        table = Table(self.stack.dynamodb, self.stack.table_name)
        while items := self.stack.dynamodb.scan(TableName=self.stack.table_name)["Items"]:
            table.delete_many((item["pk"]["S"], item["sk"]["S"]) for item in items)

    def items(self, pk: str = "") -> list[dict[str, Any]]:
        """The table's items: all of them, those of a partition, or of all that start with what ends in `#`."""
        if pk and not pk.endswith("#"):
            answer = self.stack.dynamodb.query(
                TableName=self.stack.table_name,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": pk}},
                ConsistentRead=True,
            )
            return [dict(unmarshal(item)) for item in answer["Items"]]
        found: list[dict[str, Any]] = self.get("/_local/table").json()
        return [item for item in found if item["pk"].startswith(pk)]


@pytest.fixture
def app(stack: Stack) -> Iterator[App]:
    assert stack.codat is not None
    with httpx.Client(base_url=stack.url, timeout=40) as http:
        one = App(http, stack, stack.codat)
        one.start_afresh()
        yield one
    stack.codat.background.cancel()


class Clock:
    """The functions' clock and the simulated Codat's, ahead of the real one by as much as a test says."""

    def __init__(self, codat: CodatServer) -> None:
        self.ahead = timedelta()
        self._codat = codat

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)
        self._codat.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def clock(app: App, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test moves; the functions' waits between retries move it too, and take no real time."""
    moved, real = Clock(app.codat), runtime_clock.now
    monkeypatch.setattr(runtime_clock, "now", lambda: real() + moved.ahead)
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=moved.advance))

    class MovedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + moved.ahead

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", MovedDatetime)
    return moved


# Wires between the functions and the world, on which a test lets things go wrong.


@pytest.fixture
def codat_wire(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with Proxy(app.stack.codat_url) as proxy:
        yield from _between(proxy, "CODAT_BASE_URL", monkeypatch)


@pytest.fixture
def dynamodb_wire(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with Proxy(app.stack.dynamodb.meta.endpoint_url) as proxy:
        yield from _between(proxy, "AWS_ENDPOINT_URL_DYNAMODB", monkeypatch)


def _between(proxy: Proxy, variable: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Until the test is over the functions know the wire alone; then they start afresh."""
    with monkeypatch.context() as patched:
        patched.setenv(variable, proxy.url)
        clear_caches()
        yield proxy
        clear_caches()
