"""The whole stack, started once per process: the real handlers behind the local gateway, moto and the simulated Codat.

The modules of the stack are imported when a test first needs it, because unit tests don't.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import httpx
import hypothesis
import pytest
import standardwebhooks.webhooks
import tenacity

from shared.bootstrap import codat as codat_bootstrap, stores as stores_bootstrap
from shared.runtime import aws, clock as runtime_clock, settings as runtime_settings
from shared.store.attributes import unmarshal
from tests import parse_once
from tests.intensity import examples
from tests.payloads import signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codat_simulator.server import CodatServer

    from local.running import Stack
    from tests.fresh_table import FreshTable
    from tests.integration.faults.proxy import Proxy

# The duration of an example depends on the machine more than on the code.
hypothesis.settings.register_profile(
    "any machine",
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")

parse_once.apply()

pytest_plugins = [
    "tests.browser",
    "tests.infrastructure.disclosure.plugin",
    "tests.infrastructure.permissions.plugin",
    "tests.infrastructure.contract.plugin",
]


_FIRST = ("tests/unit/", "tests/properties/", "tests/e2e/", "tests/integration/test_schemathesis.py")


def pytest_xdist_auto_num_workers() -> int:
    """Return two workers for a processor: tests wait for webhooks and leases as much as they compute."""
    return (os.cpu_count() or 1) * 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the unit tests first, then the slow files.

    Unit tests disable sockets for the whole process, so they must end before a server starts in it. A worker that
    begins a slow file last would keep the others waiting.
    """
    items.sort(
        key=lambda item: next((i for i, folder in enumerate(_FIRST) if item.nodeid.startswith(folder)), len(_FIRST))
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each reason to skip tests, instead of one for each test."""
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped"))
    for reason, count in reasons.items():
        terminalreporter.line(f"{count} skipped: {reason}")


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    from local.aws import publisher  # noqa: PLC0415
    from local.settings import LocalSettings, new_webhook_secret  # noqa: PLC0415
    from local.stack import running_stack  # noqa: PLC0415

    settings = LocalSettings(
        codat_api_key="test-api-key-that-must-never-be-logged",
        webhook_secrets=(new_webhook_secret(), new_webhook_secret()),
        own_webhook_secrets=True,
        one_time_links=True,
        # None means moto.
        dynamodb_endpoint=os.environ.get("AWS_ENDPOINT_URL_DYNAMODB"),
        port=0,
    )
    # A read of the stream costs as much as a call. `Stack.events` doesn't wait for the interval.
    with pytest.MonkeyPatch.context() as patched, running_stack(settings) as running:
        patched.setattr(publisher, "_POLL_INTERVAL", 1.0)
        assert running.codat is not None
        # Many tests wait for the first read of the data.
        running.codat.settings = replace(running.codat.settings, initial_read=0.01)
        yield running


@dataclass(frozen=True)
class App:
    """The app that uses the API, with access to Codat's state and to the table."""

    http: httpx.Client
    stack: Stack
    codat: CodatServer
    table: FreshTable

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.http.post(path, json=body) if body is not None else self.http.post(path)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def customer(self, customer_id: str | None = None) -> dict[str, Any]:
        """Create a customer."""
        customer_id = customer_id or f"c-{uuid4()}"
        response = self.post("/customers", {"customerId": customer_id, "name": "Bank of Dave"})
        assert response.status_code == 201, response.text
        customer: dict[str, Any] = response.json()
        return customer

    def connection(self, customer_id: str, platform_key: str = "qhyg") -> dict[str, Any]:
        """Create a connection that the customer has not authorised yet."""
        response = self.post(f"/customers/{customer_id}/connections", {"platformKey": platform_key})
        assert response.status_code == 201, response.text
        self.codat.wait_idle()
        connection: dict[str, Any] = response.json()
        return connection

    def linked(self, customer_id: str, platform_key: str = "qhyg") -> dict[str, Any]:
        """Create a connection that the customer has authorised."""
        connection = self.connection(customer_id, platform_key)
        self.codat.state.link(connection["companyId"], connection["connectionId"])
        self.codat.wait_idle()
        return self.read(connection)

    def read(self, connection: dict[str, Any]) -> dict[str, Any]:
        """Return the connection as the API shows it now."""
        response = self.get(f"/customers/{connection['customerId']}/connections/{connection['connectionId']}")
        assert response.status_code == 200, response.text
        current: dict[str, Any] = response.json()
        return current

    def deliver(self, body: dict[str, Any] | bytes, **signing: Any) -> httpx.Response:
        """Post a webhook, signed as Codat signs it."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        secret = signing.pop("secret", self.stack.settings.webhook_secrets[0])
        return self.http.post("/webhooks/codat", content=raw, headers=signed(raw, secret, **signing))

    def start_afresh(self, *, is_new: bool = False) -> None:
        """Reset Codat and empty the table. A new deployment trusts no API key yet."""
        self.codat.reset()
        from functions.codat_webhook.refusals import refusals  # noqa: PLC0415  # the function is imported with the stack

        codat_bootstrap.trusted_api_keys.cache_clear()
        stores_bootstrap.platform_cache.cache_clear()
        refusals.cache_clear()
        if is_new:
            self.table.empty()
        else:
            self.table.empty_but_for_trust()

    def items(self, pk: str = "") -> list[dict[str, Any]]:
        """Return the items of a partition; if `pk` ends in `#` or is empty, of all partitions that start with it."""
        if pk and not pk.endswith("#"):
            response = self.stack.dynamodb.query(
                TableName=self.stack.table_name,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": pk}},
                ConsistentRead=True,
            )
            return [dict(unmarshal(item)) for item in response["Items"]]
        items: list[dict[str, Any]] = self.get("/_local/table").json()
        return [item for item in items if item["pk"].startswith(pk)]


@pytest.fixture(scope="module")
def fresh_table(stack: Stack) -> Iterator[FreshTable]:
    from tests.fresh_table import FreshTable  # noqa: PLC0415

    yield FreshTable(stack)
    # Publish what is left: while another stack runs, its bus would get these events.
    stack.events()


@pytest.fixture
def app(stack: Stack, fresh_table: FreshTable) -> Iterator[App]:
    assert stack.codat is not None
    with httpx.Client(base_url=stack.url, timeout=40) as http:
        app = App(http, stack, stack.codat, fresh_table)
        app.start_afresh()
        yield app
    stack.codat.background.cancel()


class Clock:
    """The clock of the functions and of the simulated Codat, `ahead` of the real one."""

    def __init__(self, codat: CodatServer) -> None:
        self.ahead = timedelta()
        self._codat = codat

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)
        self._codat.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
def clock(app: App, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test advances. Waits between retries advance it too, and take no real time."""
    moved, real = Clock(app.codat), runtime_clock.now
    monkeypatch.setattr(runtime_clock, "now", lambda: real() + moved.ahead)
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=moved.advance))

    class MovedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + moved.ahead

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", MovedDatetime)
    return moved


# Proxies between the functions and their servers, in which a test causes failures.


@pytest.fixture
def codat_wire(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    def forget_client() -> None:
        codat_bootstrap.http().close()
        codat_bootstrap.http.cache_clear()
        runtime_settings.read.cache_clear()

    app.get("/platforms")  # so that no exchange is about the list of platforms
    yield from _proxied(app.stack.codat_url, "CODAT_BASE_URL", forget_client, monkeypatch)


@pytest.fixture
def dynamodb_wire(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    url = app.stack.dynamodb.meta.endpoint_url
    yield from _proxied(url, "AWS_ENDPOINT_URL_DYNAMODB", aws.close_clients, monkeypatch)


def _proxied(
    upstream: str, variable: str, forget_client: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    """Let the functions reach `upstream` only through the proxy, until the test ends."""
    from tests.integration.faults.proxy import Proxy  # noqa: PLC0415

    with Proxy(upstream) as proxy, monkeypatch.context() as patched:
        patched.setenv(variable, proxy.url)
        forget_client()
        yield proxy
        forget_client()
