"""The API keys of the Codat client."""

import base64
import re
from typing import Any

import httpx
import pytest
from codat_simulator.server import CodatServer
from codat_simulator.settings import API_KEY

Json = dict[str, Any]


def status_with(codat: CodatServer, value: str) -> int:
    """Return the status of a request that is authorised by this key."""
    headers = {"Authorization": "Basic " + base64.b64encode(value.encode()).decode()}
    return httpx.get(f"{codat.base_url}/companies", headers=headers, trust_env=False).status_code


def listed(api: httpx.Client) -> list[Json]:
    results: list[Json] = api.get("/apiKeys").json()["results"]
    return results


def test_key_of_the_settings_is_listed(api: httpx.Client) -> None:
    (key,) = listed(api)

    assert set(key) == {"id", "apiKey", "createdDate"}
    assert key["apiKey"] == API_KEY
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", key["createdDate"])


def test_created_key_is_valid_until_it_is_deleted(api: httpx.Client, codat: CodatServer) -> None:
    created = api.post("/apiKeys", json={"name": "rotation"})

    assert created.status_code == 201
    assert set(created.json()) == {"id", "name", "apiKey", "createdDate"}
    assert listed(api)[1:] == [created.json()]
    assert status_with(codat, created.json()["apiKey"]) == 200

    deleted = api.delete(f"/apiKeys/{created.json()['id']}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert status_with(codat, created.json()["apiKey"]) == 401
    assert api.delete(f"/apiKeys/{created.json()['id']}").status_code == 404


def test_key_deletes_itself(api: httpx.Client) -> None:
    assert api.delete(f"/apiKeys/{listed(api)[0]['id']}").status_code == 204

    assert api.get("/apiKeys").status_code == 401


@pytest.mark.parametrize("body", [b"", b"{}", b'{"name": null}'])
def test_name_is_optional(api: httpx.Client, body: bytes) -> None:
    created = api.post("/apiKeys", content=body)

    assert created.status_code == 201
    assert "name" not in created.json()


def test_name_has_50_characters_at_most(api: httpx.Client) -> None:
    assert api.post("/apiKeys", json={"name": "x" * 50}).status_code == 201

    rejected = api.post("/apiKeys", json={"name": "x" * 51})

    assert (rejected.status_code, rejected.json()["error"]) == (400, "Max string length (50) for `name` reached.")
    assert api.post("/apiKeys", json={"name": 7}).status_code == 400
    assert len(listed(api)) == 2


def test_there_are_at_most_10_keys(api: httpx.Client) -> None:
    statuses = [api.post("/apiKeys").status_code for _ in range(10)]

    assert statuses == [201] * 9 + [409]
    assert api.post("/apiKeys").json()["error"] == (
        "Maximum number of API keys reached. To create a new API key, delete an unused key and try again."
    )
    api.delete(f"/apiKeys/{listed(api)[-1]['id']}")
    assert api.post("/apiKeys").status_code == 201


def test_retry_with_an_idempotency_key_returns_the_same_key(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": "5b3c4a2e-0f5d-4f0c-9f0a-6f1f0b7d8c11"}

    first, second = (api.post("/apiKeys", json={"name": "once"}, headers=headers) for _ in range(2))

    assert first.content == second.content
    assert len(listed(api)) == 2


def test_test_sets_the_valid_keys(api: httpx.Client, codat: CodatServer) -> None:
    (first,) = listed(api)

    codat.api_keys = (*codat.api_keys, "another-key")

    assert [key["apiKey"] for key in listed(api)] == [API_KEY, "another-key"]
    assert listed(api)[0] == first
    assert status_with(codat, "another-key") == 200

    codat.api_keys = ("another-key",)

    assert (status_with(codat, API_KEY), status_with(codat, "another-key")) == (401, 200)
    assert codat.authorization == "Basic " + base64.b64encode(b"another-key").decode()


def test_reset_restores_the_keys_of_the_settings(api: httpx.Client, codat: CodatServer) -> None:
    api.post("/apiKeys")

    codat.reset()

    assert codat.api_keys == (API_KEY,)
