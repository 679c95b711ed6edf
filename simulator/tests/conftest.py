from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from codat_simulator.models import Consumer
from codat_simulator.server import CodatServer
from codat_simulator.settings import Settings
from receiver import Receiver


@pytest.fixture(scope="session")
def server() -> Iterator[CodatServer]:
    with CodatServer(Settings(retry_scale=0.0001, initial_read=0.01)) as server:
        yield server


@pytest.fixture
def codat(server: CodatServer) -> CodatServer:
    """A running Codat without companies, consumers or faults."""
    server.reset()
    return server


@pytest.fixture
def api(codat: CodatServer) -> Iterator[httpx.Client]:
    headers = {"Authorization": codat.authorization}
    with httpx.Client(base_url=codat.base_url, headers=headers, timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
def browser(codat: CodatServer) -> Iterator[httpx.Client]:
    """A client without an API key that follows redirects."""
    with httpx.Client(base_url=codat.base_url, timeout=10, trust_env=False, follow_redirects=True) as client:
        yield client


@pytest.fixture
def receiver(codat: CodatServer) -> Iterator[Receiver]:
    """A consumer of every event."""
    with Receiver() as receiver:
        codat.webhooks.register(Consumer(id=str(uuid4()), url=receiver.url))
        yield receiver
        codat.background.cancel()


@pytest.fixture
def company(api: httpx.Client) -> dict[str, Any]:
    company: dict[str, Any] = api.post(
        "/companies", json={"name": "Bank of Dave", "tags": {"uid": "customer-1"}}
    ).json()
    return company


@pytest.fixture
def connection(api: httpx.Client, company: dict[str, Any]) -> dict[str, Any]:
    connection: dict[str, Any] = api.post(
        f"/companies/{company['id']}/connections", json={"platformKey": "qhyg"}
    ).json()
    return connection
