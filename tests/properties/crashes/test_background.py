"""Killed at every I/O, what works in the background is called again, by the queue or the stream, and ends the same."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.faults import Fault
from codat_simulator.state import CompanyChange

from tests.conftest import App
from tests.integration.functions.test_reconcile import adopting_strays, lose_webhooks, reconcile, same
from tests.properties.crashes.invocation import (
    Invocation,
    KillPoint,
    Moment,
    all_kill_points,
    ends_of_each_kind,
    invoke,
)
from tests.properties.crashes.test_crashes import LEASE_OVER, start_afresh

MOMENTS: tuple[Moment, ...] = ("before", "after")


@dataclass(frozen=True)
class Message:
    """A reconcile's message about to be worked on, and what must be true of the world afterwards."""

    body: dict[str, Any]
    holds: Callable[[], None]

    def work(self, **how: Any) -> Invocation:
        records = [{"messageId": "m-1", "body": json.dumps(self.body)}]
        return invoke("functions.reconcile.app", {"Records": records}, **how)


def a_customer(app: App) -> Message:
    """Revoked at its source, and renamed in the portal."""
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    app.codat.state.change_company(linked["companyId"], CompanyChange(name="By hand", tags={}))

    def holds() -> None:
        [company] = app.codat.state.companies()
        assert (company.name, company.tags["uid"]) == ("Bank of Dave", linked["customerId"])
        assert same(app, linked["customerId"])

    return Message({"kind": "customers", "customerIds": [linked["customerId"]]}, holds)


def a_deleted_company(app: App) -> Message:
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.delete_company(linked["companyId"])
    return Message({"kind": "customers", "customerIds": [linked["customerId"]]}, lambda: _ended(app, linked))


def an_unfinished_deletion(app: App) -> Message:
    customer = app.customer()
    app.codat.faults.add(Fault(kind="status", status=403, method="DELETE", times=1))
    app.http.delete(f"/customers/{customer['customerId']}")
    return Message({"kind": "customers", "customerIds": [customer["customerId"]]}, lambda: _ended(app, customer))


def _ended(app: App, one: dict[str, Any]) -> None:
    assert not app.codat.state.companies()
    assert not app.items(f"CUSTOMER#{one['customerId']}")
    assert all(item["expiresAt"] and "customerId" not in item for item in app.items(f"COMPANY#{one['companyId']}"))


def a_stray(app: App) -> Message:
    """A company with our tag and a linked connection, that nobody has here."""
    lose_webhooks(app)
    customer_id = f"s-{uuid4()}"
    company = app.codat.state.create_company(CompanyChange(name="Stray", tags={"uid": customer_id, "region": "us"}))
    connection = app.codat.state.create_connection(company.id, "gbol")
    app.codat.state.link(company.id, connection.id)

    def holds() -> None:
        assert app.get(f"/customers/{customer_id}").json()["companyId"] == company.id
        assert same(app, customer_id)
        assert company.tags == {"uid": customer_id, "region": "us"}

    return Message({"kind": "orphans", "page": 1, "adoptOurs": False}, holds)


@pytest.mark.parametrize("message_of", [a_customer, a_deleted_company, an_unfinished_deletion, a_stray])
def test_a_killed_reconcile_is_taken_up_by_its_message(
    app: App,
    message_of: Callable[[App], Message],
    record_property: Callable[[str, object], None],
) -> None:
    """SQS shows the message again; by then the leases of the dead are over. What an adoption has not imported by then,
    the next reconcile does.
    """
    with adopting_strays():
        start_afresh(app)
        whole = message_of(app)
        life = whole.work()
        assert life.answer is not None
        assert life.answer["batchItemFailures"] == []
        whole.holds()
        kill_points = all_kill_points(life.exchanges)
        record_property("kill_points", len(kill_points))
        for kill_point in kill_points:
            start_afresh(app)
            message = message_of(app)
            assert message.work(kill_point=kill_point).answer is None
            again = message.work(later=LEASE_OVER)
            assert again.answer is not None
            assert again.answer["batchItemFailures"] == [], kill_point
            if message_of is a_stray:
                reconcile(app)
            message.holds()


def test_a_killed_plan_is_made_again(app: App, record_property: Callable[[str, object], None]) -> None:
    """Lambda calls it again; what was queued twice is worked on twice, which changes nothing."""

    def revoked() -> dict[str, Any]:
        linked = app.linked(app.customer()["customerId"])
        lose_webhooks(app)
        app.codat.state.revoke(linked["companyId"], linked["connectionId"])
        return linked

    revoked()
    exchanges = invoke("functions.plan_reconcile.app", {}).exchanges
    assert "POST Codat" not in exchanges
    assert reconcile(app)["drift"] == 1
    # The listing is 16 queries of one kind: the first and the last of each kind of I/O.
    kill_points = [KillPoint(io, moment) for io in ends_of_each_kind(exchanges) for moment in MOMENTS]
    record_property("kill_points", len(kill_points))
    for kill_point in kill_points:
        app.start_afresh()
        linked = revoked()
        assert invoke("functions.plan_reconcile.app", {}, kill_point=kill_point).answer is None
        found = reconcile(app)
        assert (found["drift"], found["failed"]) == (1, 0)
        assert app.read(linked)["status"] == "Deauthorized"


def test_killed_while_it_publishes_it_tells_all_of_it_again(
    app: App, record_property: Callable[[str, object], None]
) -> None:
    """The stream shows the records again: at least once, under the same ids, with the same words."""
    linked = app.linked(app.customer()["customerId"])
    items = app.stack.dynamodb.scan(TableName=app.stack.table_name)["Items"]
    records = [
        {
            "eventName": "INSERT",
            "dynamodb": {"Keys": {name: item[name] for name in ("pk", "sk")}, "NewImage": item, "SequenceNumber": "1"},
        }
        for item in items
        if item["sk"]["S"].startswith(("CUSTOMER", "CONNECTION#"))
    ]
    life = invoke("functions.publish_changes.app", {"Records": records})
    assert life.exchanges == ["PutEvents"]
    told = _told(app, linked["customerId"])
    kill_points = all_kill_points(life.exchanges)
    record_property("kill_points", len(kill_points))
    for kill_point in kill_points:
        assert invoke("functions.publish_changes.app", {"Records": records}, kill_point=kill_point).answer is None
        assert invoke("functions.publish_changes.app", {"Records": records}).answer == {"batchItemFailures": []}
    assert _told(app, linked["customerId"]) == told


def _told(app: App, customer_id: str) -> set[str]:
    details = [one["detail"] for one in app.stack.events()]
    return {json.dumps(one, sort_keys=True) for one in details if one["customerId"] == customer_id}
