"""Killed at every I/O: the promises hold, and the same call, repeated, completes.

The process really dies (SIGKILL), with its lease left behind as a dead Lambda would leave it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.state import CompanyChange

from shared.codat.transport import api_key_fingerprint
from shared.domain.timestamps import timestamp_of
from shared.store.api_keys import ApiKeys
from shared.store.keys import SHARDS
from shared.store.table import Table, put
from tests.conftest import App
from tests.payloads import api_event, webhook, webhook_about, webhook_event
from tests.properties.crashes.invocation import (
    SECONDS_LEFT,
    Invocation,
    KillPoint,
    all_kill_points,
    ends_of_each_kind,
    invoke,
)

LEASE_OVER = timedelta(seconds=30)
"""Longer than the lease, and within the minute in which an idempotency key is sent again."""


@dataclass(frozen=True)
class Scene:
    """A use case about to be called, and what must be true of the world once it has answered."""

    handler: str
    event: dict[str, Any]
    done: tuple[int, ...]
    holds: Callable[[], None]


def creating_a_company(app: App) -> Scene:
    customer_id = f"c-{uuid4()}"
    event = api_event("create_company", body={"customerId": customer_id, "name": "Bank of Dave"})

    def holds() -> None:
        [company] = app.codat.state.companies()
        customer = app.get(f"/customers/{customer_id}").json()
        assert (customer["companyId"], customer["name"]) == (company.id, "Bank of Dave")
        [pointer] = [item for item in app.items(f"COMPANY#{company.id}") if item["sk"] == "COMPANY"]
        assert pointer["customerId"] == customer_id

    return Scene("functions.create_company.app", event, (200, 201), holds)


def creating_a_connection(app: App) -> Scene:
    customer_id = app.customer()["customerId"]
    event = api_event("create_connection", body={"platformKey": "qhyg"}, customerId=customer_id)

    def holds() -> None:
        [company] = app.codat.state.companies()
        [connection] = app.get(f"/customers/{customer_id}").json()["connections"]
        assert list(company.connections) == [connection["connectionId"]]
        assert not [item for item in app.items(f"COMPANY#{company.id}") if item["sk"].startswith("CREATING#")]

    return Scene("functions.create_connection.app", event, (200, 201), holds)


def unlinking(app: App) -> Scene:
    linked = app.linked(app.customer()["customerId"])
    ids = {name: linked[name] for name in ("customerId", "connectionId")}

    def holds() -> None:
        [company] = app.codat.state.companies()
        assert [one.status for one in company.connections.values()] == ["Unlinked"]
        assert app.read(linked)["status"] == "Unlinked"

    return Scene("functions.unlink_connection.app", api_event("unlink_connection", **ids), (200,), holds)


def hearing_of_a_link(app: App) -> Scene:
    about: dict[str, Any] = {"company_id": app.customer()["companyId"], "connection_id": str(uuid4())}
    event = webhook_event("connection.connected", app.stack.settings.webhook_secrets[0], **about)

    def holds() -> None:
        items = app.items(f"COMPANY#{about['company_id']}")
        [register] = [item for item in items if item["sk"].startswith("CONNECTION#")]
        assert register["status"] == "Linked"
        assert len([item for item in items if item["sk"].startswith("EVENT#")]) == 1

    return Scene("functions.codat_webhook.app", event, (204,), holds)


def hearing_what_is_unreadable(app: App) -> Scene:
    webhook_id = f"msg_{uuid4().hex}"
    event = webhook_event(b"not json", app.stack.settings.webhook_secrets[0], webhook_id=webhook_id)

    def holds() -> None:
        assert len([item for item in app.items("UNREADABLE#") if item["sk"] == webhook_id]) == 1

    return Scene("functions.codat_webhook.app", event, (204,), holds)


def adopting_a_company(app: App) -> Scene:
    company = app.codat.state.create_company(CompanyChange(name="By hand", tags={"region": "us"}))
    app.codat.state.create_connection(company.id, "qhyg")
    customer_id = f"c-{uuid4()}"
    body = {"customerId": customer_id, "name": "Bank of Dave", "companyId": company.id}

    def holds() -> None:
        customer = app.get(f"/customers/{customer_id}").json()
        assert (customer["companyId"], len(customer["connections"])) == (company.id, 1)
        assert company.tags == {"region": "us", "uid": customer_id}
        assert len(app.codat.state.companies()) == 1

    return Scene("functions.create_company.app", api_event("create_company", body=body), (200, 201), holds)


def changing_a_customer(app: App) -> Scene:
    customer_id = app.customer()["customerId"]
    event = api_event("change_customer", body={"name": "Bank of Mary"}, customerId=customer_id)

    def holds() -> None:
        [company] = app.codat.state.companies()
        [item] = app.items(f"CUSTOMER#{customer_id}")
        assert (company.name, item["name"], "confirmedProfile" in item) == ("Bank of Mary", "Bank of Mary", False)

    return Scene("functions.change_customer.app", event, (200,), holds)


def deleting_a_customer(app: App) -> Scene:
    linked = app.linked(app.customer()["customerId"])
    event = api_event("delete_customer", customerId=linked["customerId"])

    def holds() -> None:
        assert app.codat.state.companies() == []
        assert app.items(f"CUSTOMER#{linked['customerId']}") == []
        left = app.items(f"COMPANY#{linked['companyId']}")
        assert {item["sk"].partition("#")[0] for item in left} == {"COMPANY", "CONNECTION"}
        assert all(item["expiresAt"] and "customerId" not in item for item in left)

    return Scene("functions.delete_customer.app", event, (204,), holds)


def deleting_a_connection(app: App) -> Scene:
    linked = app.linked(app.customer()["customerId"])
    ids = {name: linked[name] for name in ("customerId", "connectionId")}

    def holds() -> None:
        [company] = app.codat.state.companies()
        assert not company.connections
        assert app.read(linked)["status"] == "Deleted"

    return Scene("functions.delete_customer.app", api_event("delete_connection", **ids), (204,), holds)


def linking_again(app: App) -> Scene:
    linked = app.linked(app.customer()["customerId"])
    ids = {name: linked[name] for name in ("customerId", "connectionId")}

    def holds() -> None:
        assert app.read(linked)["status"] == "Linked"

    return Scene("functions.create_link.app", api_event("create_connection_link", **ids), (200,), holds)


def hearing_of_a_deleted_company(app: App) -> Scene:
    linked = app.linked(app.customer()["customerId"])
    body = webhook("company.deleted")
    body["payload"] |= {"id": linked["companyId"], "tags": None}
    event = webhook_event(json.dumps(body).encode(), app.stack.settings.webhook_secrets[0])

    def holds() -> None:
        assert app.items(f"CUSTOMER#{linked['customerId']}") == []
        left = app.items(f"COMPANY#{linked['companyId']}")
        assert {item["sk"].partition("#")[0] for item in left} == {"COMPANY", "CONNECTION"}
        assert all(item["expiresAt"] for item in left)

    return Scene("functions.codat_webhook.app", event, (204,), holds)


def hearing_of_the_initial_read(app: App) -> Scene:
    pending = app.connection(app.customer()["customerId"])
    about = {"company_id": pending["companyId"], "connection_id": pending["connectionId"]}
    linked_at, read_at = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (1, 2))
    linked = webhook_about("connection.connected", **about, generatedDate=linked_at.isoformat())
    assert app.deliver(linked).status_code == 204
    body = webhook("read.completed.initial") | {"generatedDate": read_at.isoformat()}
    body["payload"]["referenceCompany"]["id"] = pending["companyId"]
    for data_type in body["payload"]["dataTypes"]:
        data_type["connectionId"] = pending["connectionId"]
    event = webhook_event(json.dumps(body).encode(), app.stack.settings.webhook_secrets[0])

    def holds() -> None:
        assert app.read(pending)["initialReadAt"] == timestamp_of(read_at)

    return Scene("functions.codat_webhook.app", event, (204,), holds)


SCENES = [
    adopting_a_company,
    changing_a_customer,
    deleting_a_customer,
    deleting_a_connection,
    linking_again,
    hearing_of_a_deleted_company,
    hearing_of_the_initial_read,
    creating_a_company,
    creating_a_connection,
    unlinking,
    hearing_of_a_link,
    hearing_what_is_unreadable,
]


def start_afresh(app: App) -> None:
    """An empty table, except that the API key is trusted: how the first one is, another test says."""
    app.start_afresh()
    fingerprint = api_key_fingerprint(app.stack.settings.codat_api_key)
    ApiKeys(Table(app.stack.dynamodb, app.stack.table_name)).trust_first(fingerprint, datetime.now(UTC))


@pytest.mark.parametrize("scene_of", SCENES)
def test_killed_at_any_io_the_repeated_call_completes(
    app: App, scene_of: Callable[[App], Scene], record_property: Callable[[str, object], None]
) -> None:
    """Between any two I/Os: the call, repeated, waits for the lease at most, and then completes."""
    start_afresh(app)
    whole = scene_of(app)
    life = invoke(whole.handler, whole.event)
    assert life.status in whole.done, life.body
    whole.holds()
    assert len(life.exchanges) >= 2
    kill_points = all_kill_points(life.exchanges)
    record_property("kill_points", len(kill_points))
    for kill_point in kill_points:
        start_afresh(app)
        scene = scene_of(app)
        killed = invoke(scene.handler, scene.event, kill_point=kill_point)
        # A webhook that was quicker may have spared it the last I/Os, and so the kill point.
        reached = int(kill_point.io) + 1
        assert len(killed.exchanges) == reached if killed.answer is None else len(killed.exchanges) < reached
        at_once = invoke(scene.handler, scene.event)
        if at_once.status not in scene.done:
            _waits_for_the_lease(at_once)
        at_last = invoke(scene.handler, scene.event, later=LEASE_OVER)
        assert at_last.status in scene.done, (kill_point, at_last.body)
        app.codat.wait_idle()
        scene.holds()


def test_killed_while_the_first_api_key_proves_itself(app: App) -> None:
    """At the first and the last of each kind of I/O: the first customer of a deployment is made once."""
    whole = creating_a_company(app)
    exchanges = invoke(whole.handler, whole.event).exchanges
    assert exchanges.count("Query") >= SHARDS
    for kill_point in [KillPoint(io, "after") for io in ends_of_each_kind(exchanges)]:
        app.start_afresh()
        scene = creating_a_company(app)
        assert invoke(scene.handler, scene.event, kill_point=kill_point).answer is None
        assert invoke(scene.handler, scene.event, later=LEASE_OVER).status in scene.done, kill_point
        scene.holds()


def _waits_for_the_lease(life: Invocation) -> None:
    assert life.status == 409, life.body
    assert life.body["type"] in {"creation-in-progress", "deletion-in-progress"}
    assert life.answer is not None
    # The dead process had 20 s left, and its lease outlives it by 3.
    assert 15 <= int(life.answer["headers"]["retry-after"]) <= 23


def test_a_second_death_changes_nothing(app: App) -> None:
    """The one who takes over dies too, at every I/O in turn; the third completes, with one company."""
    scene = creating_a_company(app)
    killed = invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "after"))
    assert killed.answer is None
    later, io = LEASE_OVER, 0
    while True:
        life = invoke(scene.handler, scene.event, kill_point=KillPoint(io, "after"), later=later)
        if life.answer is not None:
            break
        io, later = io + 1, later + LEASE_OVER
    assert life.status in scene.done
    assert io >= 3
    scene.holds()


def test_whoever_takes_over_looks_first(app: App) -> None:
    """The dead process may have turned to a new key, while the work under the old one was still to be done."""
    scene = creating_a_company(app)
    assert invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "after")).answer is None
    [claim] = app.items("CUSTOMER#")
    Table(app.stack.dynamodb, app.stack.table_name).write(put({**claim, "idempotencyKey": str(uuid4())}))
    life = invoke(scene.handler, scene.event, later=LEASE_OVER)
    assert life.status == 201
    assert "POST Codat" not in life.exchanges
    scene.holds()


def test_an_heir_sends_the_very_same_body(app: App) -> None:
    """Codat refuses another one under the same key, and would do the work of a fresh key a second time."""
    customer_id, tags = f"c-{uuid4()}", {"zeta": "1", "region": "us", "alpha": "2", "market": "x"}
    event = api_event("create_company", body={"customerId": customer_id, "name": "Bank of Dave", "tags": tags})
    assert invoke("functions.create_company.app", event, kill_point=KillPoint("POST Codat", "before")).answer is None
    table = Table(app.stack.dynamodb, app.stack.table_name)
    [claim] = app.items("CUSTOMER#")
    # A store gives a map back in any order.
    table.write(put({**claim, "tags": dict(reversed(claim["tags"].items()))}))
    life = invoke("functions.create_company.app", event, later=LEASE_OVER)
    assert life.status == 201
    [company] = app.codat.state.companies()
    assert list(company.tags) == sorted({**tags, "uid": customer_id, "creationId": claim["creationId"]})


def test_the_lease_outlives_the_process(app: App) -> None:
    """By more than it had left to live: nobody takes over from the living."""
    scene = creating_a_company(app)
    assert invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "before")).answer is None
    [claim] = app.items("CUSTOMER#")
    assert int(claim["leaseUntil"]) - int(claim["keyIssuedAt"]) > SECONDS_LEFT * 1000


def test_a_company_that_was_deleted_before_its_creation_was_taken_over(app: App) -> None:
    """Codat replays the id of one that is gone. Once the look-up has been empty for long enough, another is made."""
    scene = creating_a_company(app)
    assert invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "after")).answer is None
    [company] = app.codat.state.companies()
    app.codat.state.delete_company(company.id)
    waiting = invoke(scene.handler, scene.event, later=LEASE_OVER)
    assert (waiting.status, waiting.body["type"]) == (409, "creation-in-progress")
    life = invoke(scene.handler, scene.event, later=LEASE_OVER + timedelta(seconds=6))
    assert life.status == 201
    assert life.body["companyId"] != company.id
    scene.holds()


def test_a_customer_whose_creation_died_is_deleted_with_its_company(app: App) -> None:
    """Or Codat would keep a company that nobody knows."""
    customer_id = f"c-{uuid4()}"
    event = api_event("create_company", body={"customerId": customer_id, "name": "Bank of Dave"})
    assert invoke("functions.create_company.app", event, kill_point=KillPoint("POST Codat", "after")).answer is None
    deleting = api_event("delete_customer", customerId=customer_id)
    assert invoke("functions.delete_customer.app", deleting, later=LEASE_OVER).status == 204
    assert app.codat.state.companies() == []
    assert app.items(f"CUSTOMER#{customer_id}") == []


def test_of_two_companies_the_oldest_is_taken(app: App) -> None:
    """Somebody made a second one by hand; it is never deleted."""
    scene = creating_a_company(app)
    assert invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "after")).answer is None
    [company] = app.codat.state.companies()
    older = app.codat.state.create_company(CompanyChange(name="By hand", tags=company.tags))
    older.created = company.created - timedelta(days=1)
    life = invoke(scene.handler, scene.event, later=LEASE_OVER)
    assert (life.status, life.body["companyId"]) == (201, older.id)
    assert len(app.codat.state.companies()) == 2


def test_after_the_key_has_aged_the_company_is_looked_up(app: App) -> None:
    """Codat forgets a key after 90 minutes: sent again it would make a second company."""
    scene = creating_a_company(app)
    assert invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "after")).answer is None
    app.codat.clock.advance(timedelta(minutes=91))
    life = invoke(scene.handler, scene.event, later=timedelta(minutes=91))
    assert life.status == 201
    assert "GET Codat" in life.exchanges
    assert "POST Codat" not in life.exchanges
    scene.holds()
