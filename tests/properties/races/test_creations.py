"""Concurrent callers and a failing Codat: one company per customer, one connection per platform.

Each seed is a round: 16 concurrent calls for each of several customers. Then the call for each customer is repeated
until it succeeds. If a response has a `Retry-After`, the clock is advanced.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from uuid import uuid4

import httpx
import pytest

from shared.runtime import clock
from tests.concurrently import concurrently
from tests.conftest import App
from tests.intensity import seeds
from tests.properties.races.codat_faults import faults, shorten_timeout

CALLERS = 16
CUSTOMERS = 4
SEEDS = seeds(4)
MAX_RETRY_AFTER = 29 + 3 + 1
"""Seconds: a function's timeout, 3 s by which the lease is longer, and 1 s of rounding."""
MAX_REPEATS = 40

Record = Callable[[str, object], None]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Advance the functions' clock by a number of seconds."""
    real, ahead = clock.now, timedelta()

    def later(seconds: int) -> None:
        nonlocal ahead
        ahead += timedelta(seconds=seconds)

    monkeypatch.setattr(clock, "now", lambda: real() + ahead)
    return later


def check_refusal(response: httpx.Response) -> None:
    """Check that a refusal is one that failures of Codat or concurrent calls explain."""
    problem = response.json()["type"]
    assert (response.status_code, problem) in {
        (409, "creation-in-progress"),
        (429, "codat-rate-limited"),
        (502, "codat-unavailable"),
        (504, "codat-unavailable"),
    }, response.text
    if problem == "creation-in-progress":
        assert 1 <= int(response.headers["retry-after"]) <= MAX_RETRY_AFTER


def repeated(call: Callable[[], httpx.Response], wait: Callable[[int], None]) -> httpx.Response:
    """Repeat a call until it succeeds, and return that response."""
    for _ in range(MAX_REPEATS):
        response = call()
        if response.is_success:
            return response
        check_refusal(response)
        wait(int(response.headers.get("retry-after", "0")))
    raise AssertionError(f"no 2xx in {MAX_REPEATS} calls; the last response: {response.text}")


def race(
    calls: Mapping[str, Callable[[], httpx.Response]], wait: Callable[[int], None], identity: str, record: Record
) -> dict[str, str]:
    """Return the id for each customer. All its successful calls must have returned the same."""
    callers = [customer_id for customer_id in calls for _ in range(CALLERS)]
    responses = list(zip(callers, concurrently(*(calls[customer_id] for customer_id in callers)), strict=True))
    record("responses", dict(Counter(response.status_code for _, response in responses)))
    ids: dict[str, set[str]] = {customer_id: set() for customer_id in calls}
    for customer_id, response in responses:
        if response.is_success:
            ids[customer_id].add(response.json()[identity])
        else:
            check_refusal(response)
    repetitions = concurrently(*(partial(repeated, call, wait) for call in calls.values()))
    for customer_id, response in zip(calls, repetitions, strict=True):
        ids[customer_id].add(response.json()[identity])
    assert {customer_id: len(values) for customer_id, values in ids.items()} == dict.fromkeys(calls, 1)
    return {customer_id: values.pop() for customer_id, values in ids.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_callers_create_one_company(
    app: App, seed: int, wait: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """Codat has one company per customer, and every 2xx contains its id."""
    shorten_timeout(monkeypatch)
    for fault in faults(seed, "/companies"):
        app.codat.faults.add(fault)
    bodies = [{"customerId": f"c-{uuid4()}", "name": "Bank of Dave"} for _ in range(CUSTOMERS)]
    calls = {body["customerId"]: partial(app.post, "/customers", body) for body in bodies}
    companies = race(calls, wait, "companyId", record_property)
    assert sorted(companies.values()) == sorted(company.id for company in app.codat.state.companies())
    assert {company.tags["uid"]: company.id for company in app.codat.state.companies()} == companies


@pytest.mark.parametrize("seed", SEEDS)
def test_callers_create_one_connection(
    app: App, seed: int, wait: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """Codat has one connection per customer and platform, although its webhooks race with the responses."""
    customers = [app.customer() for _ in range(CUSTOMERS)]
    shorten_timeout(monkeypatch)
    for fault in faults(1000 + seed, "/companies/*/connections"):
        app.codat.faults.add(fault)
    calls = {
        customer["customerId"]: partial(
            app.post, f"/customers/{customer['customerId']}/connections", {"platformKey": "qhyg"}
        )
        for customer in customers
    }
    connections = race(calls, wait, "connectionId", record_property)
    at_codat = {company.tags["uid"]: list(company.connections) for company in app.codat.state.companies()}
    assert at_codat == {customer_id: [connection_id] for customer_id, connection_id in connections.items()}
    app.codat.faults.clear()
    app.codat.wait_idle()
    # A lease is kept while a request may still be running at Codat. The next call after that removes it.
    wait(MAX_RETRY_AFTER)
    for customer in customers:
        assert calls[customer["customerId"]]().json()["connectionId"] == connections[customer["customerId"]]
        kinds = [item["sk"].partition("#")[0] for item in app.items(f"COMPANY#{customer['companyId']}")]
        assert (kinds.count("CONNECTION"), kinds.count("CREATING")) == (1, 0)
