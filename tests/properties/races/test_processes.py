"""Processes that race for the same customer, while some of them are killed: one company, one connection."""

import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.faults import Fault

from tests.concurrently import concurrently
from tests.conftest import App
from tests.intensity import seeds
from tests.payloads import api_event
from tests.properties.crashes.invocation import Invocation, KillPoint, Moment, invoke

PROCESSES = 4
MOMENTS: tuple[Moment, ...] = ("before", "after")
LEASE_OVER = timedelta(seconds=60)
SEEDS = seeds(5)

Record = Callable[[str, object], None]


def race(chance: random.Random, handler: str, event: dict[str, Any], record: Record) -> list[Invocation]:
    """Return the invocations that raced, and a last one after the end of every lease."""
    kill_points = [KillPoint(chance.randrange(5), chance.choice(MOMENTS)) for _ in range(PROCESSES - 1)]
    invocations = concurrently(
        *(partial(invoke, handler, event, kill_point=kill_point) for kill_point in [*kill_points, None])
    )
    record("killed", sum(invocation.answer is None for invocation in invocations))
    for invocation in invocations:
        assert invocation.status in {None, 200, 201, 409, 502}, invocation.body
    later = LEASE_OVER
    while (last := invoke(handler, event, later=later)).status not in {200, 201}:
        assert last.status in {409, 502}, last.body
        later += LEASE_OVER
        assert later < 10 * LEASE_OVER
    return [*invocations, last]


@pytest.mark.parametrize("seed", SEEDS)
def test_processes_create_one_company(app: App, seed: int, record_property: Record) -> None:
    """Every 2xx contains the id of the only company at Codat."""
    chance = random.Random(seed)  # noqa: S311  # to repeat, not to protect
    app.codat.faults.add(Fault(kind="drop", when="after", method="POST", probability=0.3, seed=seed))
    event = api_event("create_company", body={"customerId": f"c-{uuid4()}", "name": "Bank of Dave"})
    invocations = race(chance, "functions.create_company.app", event, record_property)
    [company] = app.codat.state.companies()
    assert {each.body["companyId"] for each in invocations if each.status in {200, 201}} == {company.id}


@pytest.mark.parametrize("seed", SEEDS)
def test_processes_create_one_connection(app: App, seed: int, record_property: Record) -> None:
    """Every 2xx contains the id of the only connection at Codat."""
    chance = random.Random(seed)  # noqa: S311  # to repeat, not to protect
    customer = app.customer()
    app.codat.faults.add(Fault(kind="drop", when="after", method="POST", probability=0.3, seed=seed))
    event = api_event("create_connection", body={"platformKey": "qhyg"}, customerId=customer["customerId"])
    invocations = race(chance, "functions.create_connection.app", event, record_property)
    [company] = app.codat.state.companies()
    [connection_id] = company.connections
    assert {each.body["connectionId"] for each in invocations if each.status in {200, 201}} == {connection_id}
