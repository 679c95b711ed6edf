"""Callers of the API: each signs its requests, and a gateway verifies the signatures."""

import os
from collections.abc import Iterator

import pytest

from tests.conftest import App
from tests.signed_gateway import signed_gateway


@pytest.fixture
def caller(app: App) -> Iterator[dict[str, str]]:
    """Return the environment of a caller whose requests reach the local stack if they are signed."""
    with signed_gateway(app.stack.url) as environment:
        yield environment | {"PATH": os.environ["PATH"]}
