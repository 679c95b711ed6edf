"""The origins that may embed Codat's Link SDK."""

from typing import Any

import httpx
import pytest
from codat_simulator.server import CodatServer

ORIGINS = ["https://app.example.com", "http://localhost:3000"]


def test_list_is_replaced_and_empty_after_a_reset(api: httpx.Client, codat: CodatServer) -> None:
    assert api.get("/corsSettings").json() == {"allowedOrigins": []}

    answer = api.post("/corsSettings", json={"allowedOrigins": ORIGINS})

    assert (answer.status_code, answer.json()) == (200, {"allowedOrigins": ORIGINS})
    assert api.post("/corsSettings", json={"allowedOrigins": ORIGINS[1:]}).json() == {"allowedOrigins": ORIGINS[1:]}
    assert api.get("/corsSettings").json() == {"allowedOrigins": ORIGINS[1:]}
    codat.reset()
    assert codat.allowed_origins == ()


@pytest.mark.parametrize("origins", ["https://app.example.com", ["app.example.com"], [7], None])
def test_other_than_a_list_of_urls_is_rejected(api: httpx.Client, codat: CodatServer, origins: Any) -> None:
    codat.allowed_origins = tuple(ORIGINS)

    assert api.post("/corsSettings", json={"allowedOrigins": origins}).status_code == 400

    assert codat.allowed_origins == tuple(ORIGINS)


def test_api_key_is_required(codat: CodatServer) -> None:
    assert httpx.get(f"{codat.base_url}/corsSettings", trust_env=False).status_code == 401
