"""Calls and webhooks that are killed at any request: the same call, repeated, completes.

The process is killed by SIGKILL and leaves its lease behind, as a Lambda does that runs out of time or memory.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.state import CompanyChange

from shared.domain.timestamps import timestamp_of
from shared.store.keys import SHARDS
from shared.store.table import Table, put
from tests.conftest import App
from tests.payloads import api_event, webhook, webhook_about, webhook_event
from tests.properties.crashes.invocation import (
    SECONDS_LEFT,
    Invocation,
    KillPoint,
    all_kill_points,
    first_and_last_of_each_name,
    invoke,
)

LEASE_OVER = timedelta(seconds=30)
"""Longer than the lease, and within the minute in which an idempotency key is sent again."""


@dataclass(frozen=True)
class Scene:
    """An event for a handler, the statuses of a success, and the check of its effect."""

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
        assert [connection.status for connection in company.connections.values()] == ["Unlinked"]
        assert app.read(linked)["status"] == "Unlinked"

    return Scene("functions.unlink_connection.app", api_event("unlink_connection", **ids), (200,), holds)


def webhook_connected(app: App) -> Scene:
    about: dict[str, Any] = {"company_id": app.customer()["companyId"], "connection_id": str(uuid4())}
    event = webhook_event("connection.connected", app.stack.settings.webhook_secrets[0], **about)

    def holds() -> None:
        items = app.items(f"COMPANY#{about['company_id']}")
        [connection] = [item for item in items if item["sk"].startswith("CONNECTION#")]
        assert connection["status"] == "Linked"
        assert len([item for item in items if item["sk"].startswith("EVENT#")]) == 1

    return Scene("functions.codat_webhook.app", event, (204,), holds)


def webhook_unparseable(app: App) -> Scene:
    webhook_id = f"msg_{uuid4().hex}"
    event = webhook_event(b"not json", app.stack.settings.webhook_secrets[0], webhook_id=webhook_id)

    def holds() -> None:
        assert len([item for item in app.items() if item.get("webhookId") == webhook_id]) == 1

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
    assert app.post(f"/customers/{linked['customerId']}/invitations", {}).status_code == 201
    event = api_event("delete_customer", customerId=linked["customerId"])

    def holds() -> None:
        assert app.codat.state.companies() == []
        assert app.items(f"CUSTOMER#{linked['customerId']}") == []
        remaining = app.items(f"COMPANY#{linked['companyId']}")
        assert {item["sk"].partition("#")[0] for item in remaining} == {"COMPANY", "CONNECTION"}
        assert all(item["expiresAt"] and "customerId" not in item for item in remaining)
        assert app.items("INVITATION#") == []

    return Scene("functions.delete_customer.app", event, (204,), holds)


def inviting(app: App) -> Scene:
    customer = app.customer()
    event = api_event("create_invitation", customerId=customer["customerId"])

    def holds() -> None:
        by_hash = [item["invitationId"] for item in app.items("INVITATION#")]
        listed = app.get(f"/customers/{customer['customerId']}/invitations").json()["invitations"]
        assert sorted(by_hash) == sorted(invitation["invitationId"] for invitation in listed)
        assert 1 <= len(listed) <= 3

    return Scene("functions.create_connection.app", event, (201,), holds)


def deleting_a_connection(app: App) -> Scene:
    linked = app.linked(app.customer()["customerId"])
    ids = {name: linked[name] for name in ("customerId", "connectionId")}

    def holds() -> None:
        [company] = app.codat.state.companies()
        assert not company.connections
        assert app.read(linked)["status"] == "Deleted"

    return Scene("functions.delete_customer.app", api_event("delete_connection", **ids), (204,), holds)


def creating_a_link(app: App) -> Scene:
    linked = app.linked(app.customer()["customerId"])
    ids = {name: linked[name] for name in ("customerId", "connectionId")}

    def holds() -> None:
        assert app.read(linked)["status"] == "Linked"

    return Scene("functions.create_link.app", api_event("create_connection_link", **ids), (200,), holds)


def webhook_company_deleted(app: App) -> Scene:
    linked = app.linked(app.customer()["customerId"])
    body = webhook("company.deleted")
    body["payload"] |= {"id": linked["companyId"], "tags": None}
    event = webhook_event(json.dumps(body).encode(), app.stack.settings.webhook_secrets[0])

    def holds() -> None:
        assert app.items(f"CUSTOMER#{linked['customerId']}") == []
        remaining = app.items(f"COMPANY#{linked['companyId']}")
        assert {item["sk"].partition("#")[0] for item in remaining} == {"COMPANY", "CONNECTION"}
        assert all(item["expiresAt"] for item in remaining)

    return Scene("functions.codat_webhook.app", event, (204,), holds)


def webhook_initial_read(app: App) -> Scene:
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
    creating_a_link,
    inviting,
    webhook_company_deleted,
    webhook_initial_read,
    creating_a_company,
    creating_a_connection,
    unlinking,
    webhook_connected,
    webhook_unparseable,
]


@pytest.mark.parametrize("prepare", SCENES)
def test_a_call_killed_at_any_request_completes_when_it_is_repeated(
    app: App, prepare: Callable[[App], Scene], record_property: Callable[[str, object], None]
) -> None:
    """WHEN the call is repeated at once THEN it completes, or is refused until the end of the lease."""
    scene = prepare(app)
    invocation = invoke(scene.handler, scene.event)
    assert invocation.status in scene.done, invocation.body
    scene.holds()
    assert len(invocation.exchanges) >= 2
    kill_points = all_kill_points(invocation.exchanges)
    record_property("kill_points", len(kill_points))
    for kill_point in kill_points:
        app.start_afresh()
        scene = prepare(app)
        killed = invoke(scene.handler, scene.event, kill_point=kill_point)
        # If a webhook has already done the work, the call needs fewer requests and may end before the kill point.
        reached = int(kill_point.request) + 1
        assert len(killed.exchanges) == reached if killed.answer is None else len(killed.exchanges) < reached
        repeated = invoke(scene.handler, scene.event)
        if repeated.status not in scene.done:
            _check_refused_until_the_lease_ends(repeated)
        last = invoke(scene.handler, scene.event, later=LEASE_OVER)
        assert last.status in scene.done, (kill_point, last.body)
        app.codat.wait_idle()
        scene.holds()


def test_a_call_killed_while_the_first_api_key_becomes_trusted(app: App) -> None:
    """THEN the repeated call creates the deployment's first customer once."""
    app.start_afresh(is_new=True)
    scene = creating_a_company(app)
    requests = invoke(scene.handler, scene.event).exchanges
    assert requests.count("Query") >= SHARDS
    for kill_point in [KillPoint(number, "after") for number in first_and_last_of_each_name(requests)]:
        app.start_afresh(is_new=True)
        scene = creating_a_company(app)
        assert invoke(scene.handler, scene.event, kill_point=kill_point).answer is None
        assert invoke(scene.handler, scene.event, later=LEASE_OVER).status in scene.done, kill_point
        scene.holds()


def _check_refused_until_the_lease_ends(refused: Invocation) -> None:
    assert refused.status == 409, refused.body
    assert refused.body["type"] in {"creation-in-progress", "deletion-in-progress"}
    assert refused.answer is not None
    # The killed process had 20 s left, and the lease lasts 3 s longer.
    assert 15 <= int(refused.answer["headers"]["retry-after"]) <= 23


def test_successors_can_crash_too(app: App) -> None:
    """GIVEN a process that took over and is killed as well, at each request in turn THEN the last call completes."""
    scene = creating_a_company(app)
    killed = invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "after"))
    assert killed.answer is None
    later, number = LEASE_OVER, 0
    while True:
        last = invoke(scene.handler, scene.event, kill_point=KillPoint(number, "after"), later=later)
        if last.answer is not None:
            break
        number, later = number + 1, later + LEASE_OVER
    assert last.status in scene.done
    assert number >= 3
    scene.holds()


def test_a_successor_looks_up_the_company_before_it_sends(app: App) -> None:
    """GIVEN a killed process that had rotated its key THEN the request under the old key may have worked."""
    scene = creating_a_company(app)
    assert invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "after")).answer is None
    [lease] = app.items("CUSTOMER#")
    Table(app.stack.dynamodb, app.stack.table_name).write(put({**lease, "idempotencyKey": str(uuid4())}))
    invocation = invoke(scene.handler, scene.event, later=LEASE_OVER)
    assert invocation.status == 201
    assert "POST Codat" not in invocation.exchanges
    scene.holds()


def test_a_successor_sends_the_same_body(app: App) -> None:
    """Codat rejects an idempotency key that is reused with another body."""
    customer_id, tags = f"c-{uuid4()}", {"zeta": "1", "region": "us", "alpha": "2", "market": "x"}
    event = api_event("create_company", body={"customerId": customer_id, "name": "Bank of Dave", "tags": tags})
    assert invoke("functions.create_company.app", event, kill_point=KillPoint("POST Codat", "before")).answer is None
    table = Table(app.stack.dynamodb, app.stack.table_name)
    [lease] = app.items("CUSTOMER#")
    # DynamoDB returns a map in any order.
    table.write(put({**lease, "tags": dict(reversed(lease["tags"].items()))}))
    invocation = invoke("functions.create_company.app", event, later=LEASE_OVER)
    assert invocation.status == 201
    [company] = app.codat.state.companies()
    assert list(company.tags) == sorted({**tags, "uid": customer_id, "creationId": lease["creationId"]})


def test_the_lease_lasts_longer_than_the_process(app: App) -> None:
    """A running process can't lose its lease."""
    scene = creating_a_company(app)
    assert invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "before")).answer is None
    [lease] = app.items("CUSTOMER#")
    assert int(lease["leaseUntil"]) - int(lease["keyIssuedAt"]) > SECONDS_LEFT * 1000


def test_a_company_that_was_deleted_before_its_creation_was_taken_over(app: App) -> None:
    """GIVEN a replay about a deleted company WHEN look-ups no longer lag THEN another company is created."""
    scene = creating_a_company(app)
    assert invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "after")).answer is None
    [company] = app.codat.state.companies()
    app.codat.state.delete_company(company.id)
    refused = invoke(scene.handler, scene.event, later=LEASE_OVER)
    assert (refused.status, refused.body["type"]) == (409, "creation-in-progress")
    invocation = invoke(scene.handler, scene.event, later=LEASE_OVER + timedelta(seconds=6))
    assert invocation.status == 201
    assert invocation.body["companyId"] != company.id
    scene.holds()


def test_a_customer_whose_creation_crashed_is_deleted_with_its_company(app: App) -> None:
    """Otherwise Codat would keep an orphaned company."""
    customer_id = f"c-{uuid4()}"
    event = api_event("create_company", body={"customerId": customer_id, "name": "Bank of Dave"})
    assert invoke("functions.create_company.app", event, kill_point=KillPoint("POST Codat", "after")).answer is None
    deleting = api_event("delete_customer", customerId=customer_id)
    assert invoke("functions.delete_customer.app", deleting, later=LEASE_OVER).status == 204
    assert app.codat.state.companies() == []
    assert app.items(f"CUSTOMER#{customer_id}") == []


def test_of_two_companies_the_oldest_is_used(app: App) -> None:
    """The second was made by hand, with the same tags. It is not deleted."""
    scene = creating_a_company(app)
    assert invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "after")).answer is None
    [company] = app.codat.state.companies()
    older = app.codat.state.create_company(CompanyChange(name="By hand", tags=company.tags))
    older.created = company.created - timedelta(days=1)
    invocation = invoke(scene.handler, scene.event, later=LEASE_OVER)
    assert (invocation.status, invocation.body["companyId"]) == (201, older.id)
    assert len(app.codat.state.companies()) == 2


def test_after_the_expiry_of_the_key_the_company_is_looked_up(app: App) -> None:
    """Codat remembers a key for 90 minutes: a later request under it would create a second company."""
    scene = creating_a_company(app)
    assert invoke(scene.handler, scene.event, kill_point=KillPoint("POST Codat", "after")).answer is None
    app.codat.clock.advance(timedelta(minutes=91))
    invocation = invoke(scene.handler, scene.event, later=timedelta(minutes=91))
    assert invocation.status == 201
    assert "GET Codat" in invocation.exchanges
    assert "POST Codat" not in invocation.exchanges
    scene.holds()
