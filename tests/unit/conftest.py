"""Unit tests run without any server: a socket is an error."""

import pytest


@pytest.fixture(autouse=True)
def _without_sockets(socket_disabled: None) -> None:
    pass
