"""Codat's rules for idempotency keys, over HTTP."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from codat_simulator.faults import Fault
from codat_simulator.server import CodatServer


def create(api: httpx.Client, key: str, name: str = "Keyed") -> httpx.Response:
    return api.post("/companies", json={"name": name}, headers={"Idempotency-Key": key})


def companies(api: httpx.Client) -> int:
    total: int = api.get("/companies").json()["totalResults"]
    return total


@pytest.fixture
def key() -> str:
    return str(uuid4())


def test_response_is_replayed(api: httpx.Client, codat: CodatServer, key: str) -> None:
    """The two spellings of the GUID are the same key."""
    first, second = create(api, key), create(api, key.upper().replace("-", ""))

    assert first.content == second.content
    assert companies(api) == 1
    assert [call.replayed for call in codat.calls.list("POST")] == [False, True]


def test_key_is_free_again_after_90_minutes(api: httpx.Client, codat: CodatServer, key: str) -> None:
    create(api, key)

    codat.clock.advance(timedelta(minutes=89))
    create(api, key)
    assert companies(api) == 1

    codat.clock.advance(timedelta(minutes=2))
    create(api, key)
    assert companies(api) == 2


@pytest.mark.parametrize("status", [400, 402, 403, 500, 503])
@pytest.mark.parametrize("when", ["before", "after"])
def test_failures_are_replayed(api: httpx.Client, codat: CodatServer, key: str, status: int, when: str) -> None:
    """A replayed failure has the same correlation id."""
    codat.faults.add(Fault.model_validate({"kind": "status", "status": status, "when": when, "times": 1}))

    first, second = create(api, key), create(api, key)

    assert first.status_code == second.status_code == status
    assert first.json()["correlationId"] == second.json()["correlationId"]
    assert companies(api) == (1 if when == "after" else 0)


def test_errors_of_the_handler_are_replayed(api: httpx.Client, codat: CodatServer, key: str) -> None:
    codat.state.company_limit = 0
    rejected = create(api, key)
    codat.state.company_limit = None

    assert create(api, key).content == rejected.content
    assert create(api, str(uuid4())).status_code == 200


def test_429_leaves_the_key_unused(api: httpx.Client, codat: CodatServer, key: str) -> None:
    codat.faults.add(Fault(kind="status", status=429, retry_after=3, times=1))

    limited = create(api, key)

    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "3")
    assert create(api, key).status_code == 200


def test_exceeded_quota_leaves_the_key_unused(api: httpx.Client, codat: CodatServer, key: str) -> None:
    codat.quota.limit = 0
    assert create(api, key).status_code == 429
    codat.quota.limit = 10

    assert create(api, key).status_code == 200


def test_outage_in_front_of_codat_leaves_the_key_unused(api: httpx.Client, codat: CodatServer, key: str) -> None:
    codat.faults.add(Fault(kind="status", status=503, cached=False, times=1))

    assert create(api, key).status_code == 503
    assert create(api, key).status_code == 200


def test_key_with_another_body_is_rejected(api: httpx.Client, key: str) -> None:
    create(api, key)

    assert create(api, key, name="Other").status_code == 422
    assert companies(api) == 1


def test_key_must_be_a_guid(api: httpx.Client) -> None:
    assert create(api, "customer-1").status_code == 400
    assert companies(api) == 0


def test_key_applies_to_patch(api: httpx.Client, key: str) -> None:
    company_id = create(api, str(uuid4())).json()["id"]
    headers = {"Idempotency-Key": key}

    first = api.patch(f"/companies/{company_id}", json={"name": "Once"}, headers=headers)
    api.patch(f"/companies/{company_id}", json={"name": "Since"})
    again = api.patch(f"/companies/{company_id}", json={"name": "Once"}, headers=headers)

    assert again.content == first.content
    assert api.get(f"/companies/{company_id}").json()["name"] == "Since"


def test_key_in_progress_is_rejected(api: httpx.Client, codat: CodatServer, key: str) -> None:
    codat.faults.add(Fault(kind="latency", seconds=0.3, times=1))
    first: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: first.append(create(api, key)))
    thread.start()
    while codat.calls.count("POST") == 0:
        thread.join(0.001)

    assert create(api, key).status_code == 409

    thread.join()
    assert create(api, key).content == first[0].content


def test_concurrent_requests_with_the_same_key_create_a_single_company(
    api: httpx.Client, codat: CodatServer, key: str
) -> None:
    codat.faults.add(Fault(kind="latency", seconds=0.1))
    with ThreadPoolExecutor(10) as pool:
        statuses = sorted(r.status_code for r in pool.map(lambda _: create(api, key), range(10)))

    assert statuses[0] == 200
    assert set(statuses) <= {200, 409}
    assert len(codat.state.companies()) == 1


def test_call_completes_after_the_client_disconnects(api: httpx.Client, codat: CodatServer, key: str) -> None:
    """After a timeout, a client gets the response by repeating the request with the key."""
    codat.faults.add(Fault(kind="latency", seconds=0.2, times=1))
    with pytest.raises(httpx.ReadTimeout):
        api.post("/companies", json={"name": "Keyed"}, headers={"Idempotency-Key": key}, timeout=0.05)

    response = create(api, key)
    while response.status_code == 409:
        response = create(api, key)

    assert response.status_code == 200
    assert companies(api) == 1
