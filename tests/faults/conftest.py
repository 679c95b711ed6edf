"""Wires between the functions and the world, on which a test lets things go wrong."""

from collections.abc import Iterator

import pytest

from local.stack import _forget_caches
from tests.conftest import App
from tests.faults.proxy import Proxy


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
        _forget_caches()
        yield proxy
        _forget_caches()
