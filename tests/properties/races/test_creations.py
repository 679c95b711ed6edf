"""Many callers, one customer, and a Codat that fails in every way: one company, one connection.

Each seed is a round: several customers at once, each asked for by 16 callers at one moment; then every customer is
asked for again, one call after the other, until the answer is a 2xx. The clock is moved where an answer said to wait.
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
from tests.properties.races.codat_faults import be_impatient, faults

CALLERS = 16
CUSTOMERS = 4
SEEDS = seeds(4)
LONGEST_WAIT = 29 + 3 + 1
"""Seconds: a function's timeout, what the lease outlives it by, and rounding up for who asked a moment before."""
MOST_REPEATS = 40

Record = Callable[[str, object], None]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets time pass for the functions, and at once."""
    real, ahead = clock.now, timedelta()

    def later(seconds: int) -> None:
        nonlocal ahead
        ahead += timedelta(seconds=seconds)

    monkeypatch.setattr(clock, "now", lambda: real() + ahead)
    return later


def check_refusal(answer: httpx.Response) -> None:
    """What a caller may be told while Codat fails and others are at it, and nothing else."""
    problem = answer.json()["type"]
    assert (answer.status_code, problem) in {
        (409, "creation-in-progress"),
        (429, "codat-rate-limited"),
        (502, "codat-unavailable"),
        (504, "codat-unavailable"),
    }, answer.text
    if problem == "creation-in-progress":
        assert 1 <= int(answer.headers["retry-after"]) <= LONGEST_WAIT


def repeated(ask: Callable[[], httpx.Response], wait: Callable[[int], None]) -> httpx.Response:
    """The 2xx that the same call ends in."""
    for _ in range(MOST_REPEATS):
        answer = ask()
        if answer.is_success:
            return answer
        check_refusal(answer)
        wait(int(answer.headers.get("retry-after", "0")))
    raise AssertionError(f"no 2xx in {MOST_REPEATS} calls; at last {answer.text}")


def race(
    asks: Mapping[str, Callable[[], httpx.Response]], wait: Callable[[int], None], identity: str, record: Record
) -> dict[str, str]:
    """The one id that each customer's callers were given, all that were answered 2xx and then the repeated call."""
    callers = [customer_id for customer_id in asks for _ in range(CALLERS)]
    answers = list(zip(callers, concurrently(*(asks[customer_id] for customer_id in callers)), strict=True))
    record("answers", dict(Counter(answer.status_code for _, answer in answers)))
    given: dict[str, set[str]] = {customer_id: set() for customer_id in asks}
    for customer_id, answer in answers:
        if answer.is_success:
            given[customer_id].add(answer.json()[identity])
        else:
            check_refusal(answer)
    at_last = concurrently(*(partial(repeated, ask, wait) for ask in asks.values()))
    for customer_id, answer in zip(asks, at_last, strict=True):
        given[customer_id].add(answer.json()[identity])
    assert {customer_id: len(ids) for customer_id, ids in given.items()} == dict.fromkeys(asks, 1)
    return {customer_id: ids.pop() for customer_id, ids in given.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_one_company(
    app: App, seed: int, wait: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """Codat has one company per customer, and everybody who got a 2xx was given it."""
    be_impatient(monkeypatch)
    for fault in faults(seed, "/companies"):
        app.codat.faults.add(fault)
    bodies = [{"customerId": f"c-{uuid4()}", "name": "Bank of Dave"} for _ in range(CUSTOMERS)]
    asks = {body["customerId"]: partial(app.post, "/customers", body) for body in bodies}
    companies = race(asks, wait, "companyId", record_property)
    assert sorted(companies.values()) == sorted(company.id for company in app.codat.state.companies())
    assert {company.tags["uid"]: company.id for company in app.codat.state.companies()} == companies


@pytest.mark.parametrize("seed", SEEDS)
def test_one_connection(
    app: App, seed: int, wait: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """Codat has one connection per customer and platform, and its webhooks race with the answers."""
    customers = [app.customer() for _ in range(CUSTOMERS)]
    be_impatient(monkeypatch)
    for fault in faults(1000 + seed, "/companies/*/connections"):
        app.codat.faults.add(fault)
    asks = {
        customer["customerId"]: partial(
            app.post, f"/customers/{customer['customerId']}/connections", {"platformKey": "qhyg"}
        )
        for customer in customers
    }
    connections = race(asks, wait, "connectionId", record_property)
    at_codat = {company.tags["uid"]: list(company.connections) for company in app.codat.state.companies()}
    assert at_codat == {customer_id: [connection_id] for customer_id, connection_id in connections.items()}
    app.codat.faults.clear()
    app.codat.wait_idle()
    # A claim that was kept, since Codat was still at it when its caller was answered, goes with the next call.
    wait(LONGEST_WAIT)
    for customer in customers:
        assert asks[customer["customerId"]]().json()["connectionId"] == connections[customer["customerId"]]
        left = [item["sk"].partition("#")[0] for item in app.items(f"COMPANY#{customer['companyId']}")]
        assert (left.count("CONNECTION"), left.count("CREATING")) == (1, 0)
