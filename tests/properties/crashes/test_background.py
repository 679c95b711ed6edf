"""Background functions that are killed at any request: the queue or the stream invokes them again."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.faults import Fault
from codat_simulator.state import CompanyChange

from tests.conftest import App
from tests.integration.functions.calls import adopting_orphans, lose_webhooks, matches_codat, reconcile
from tests.properties.crashes.invocation import (
    Invocation,
    KillPoint,
    Moment,
    all_kill_points,
    first_and_last_of_each_name,
    invoke,
)
from tests.properties.crashes.test_crashes import LEASE_OVER

MOMENTS: tuple[Moment, ...] = ("before", "after")


@dataclass(frozen=True)
class Message:
    """A message of a reconcile, and the check of its effect."""

    body: dict[str, Any]
    check: Callable[[], None]

    def process(self, **options: Any) -> Invocation:
        records = [{"messageId": "m-1", "body": json.dumps(self.body)}]
        return invoke("functions.reconcile.app", {"Records": records}, **options)


def customer_with_drift(app: App) -> Message:
    """Its connection was revoked at the platform, and its company renamed in the portal."""
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    app.codat.state.change_company(linked["companyId"], CompanyChange(name="By hand", tags={}))

    def check() -> None:
        [company] = app.codat.state.companies()
        assert (company.name, company.tags["uid"]) == ("Bank of Dave", linked["customerId"])
        assert matches_codat(app, linked["customerId"])

    return Message({"kind": "customers", "customerIds": [linked["customerId"]]}, check)


def deleted_company(app: App) -> Message:
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.delete_company(linked["companyId"])
    return Message({"kind": "customers", "customerIds": [linked["customerId"]]}, lambda: _check_deleted(app, linked))


def unfinished_deletion(app: App) -> Message:
    customer = app.customer()
    app.codat.faults.add(Fault(kind="status", status=403, method="DELETE", times=1))
    app.http.delete(f"/customers/{customer['customerId']}")
    return Message(
        {"kind": "customers", "customerIds": [customer["customerId"]]}, lambda: _check_deleted(app, customer)
    )


def _check_deleted(app: App, customer: dict[str, Any]) -> None:
    assert not app.codat.state.companies()
    assert not app.items(f"CUSTOMER#{customer['customerId']}")
    assert all(item["expiresAt"] and "customerId" not in item for item in app.items(f"COMPANY#{customer['companyId']}"))


def orphaned_company(app: App) -> Message:
    """It has our tag and a linked connection, but no customer."""
    lose_webhooks(app)
    customer_id = f"s-{uuid4()}"
    company = app.codat.state.create_company(CompanyChange(name="Orphan", tags={"uid": customer_id, "region": "us"}))
    connection = app.codat.state.create_connection(company.id, "gbol")
    app.codat.state.link(company.id, connection.id)

    def check() -> None:
        assert app.get(f"/customers/{customer_id}").json()["companyId"] == company.id
        assert matches_codat(app, customer_id)
        assert company.tags == {"uid": customer_id, "region": "us"}

    return Message({"kind": "orphans", "page": 1, "adoptOurs": False}, check)


@pytest.mark.parametrize("message_of", [customer_with_drift, deleted_company, unfinished_deletion, orphaned_company])
def test_a_reconcile_killed_at_any_request_completes_when_its_message_is_delivered_again(
    app: App,
    message_of: Callable[[App], Message],
    record_property: Callable[[str, object], None],
) -> None:
    """GIVEN a process killed at any request WHEN SQS delivers the message again, after the end of its leases
    THEN the work completes. The next reconcile imports the connections of an adoption that was interrupted.
    """
    with adopting_orphans():
        message = message_of(app)
        invocation = message.process()
        assert invocation.answer is not None
        assert invocation.answer["batchItemFailures"] == []
        message.check()
        kill_points = all_kill_points(invocation.exchanges)
        record_property("kill_points", len(kill_points))
        for kill_point in kill_points:
            app.start_afresh()
            message = message_of(app)
            assert message.process(kill_point=kill_point).answer is None
            repeated = message.process(later=LEASE_OVER)
            assert repeated.answer is not None
            assert repeated.answer["batchItemFailures"] == [], kill_point
            if message_of is orphaned_company:
                reconcile(app)
            message.check()


def test_a_killed_plan_is_repeated(app: App, record_property: Callable[[str, object], None]) -> None:
    """WHEN Lambda invokes it again THEN messages may be queued twice, which changes nothing."""

    def revoked() -> dict[str, Any]:
        linked = app.linked(app.customer()["customerId"])
        lose_webhooks(app)
        app.codat.state.revoke(linked["companyId"], linked["connectionId"])
        return linked

    revoked()
    requests = invoke("functions.plan_reconcile.app", {}).exchanges
    assert "POST Codat" not in requests
    assert reconcile(app)["drift"] == 1
    # The customers are listed by 16 queries.
    kill_points = [KillPoint(number, moment) for number in first_and_last_of_each_name(requests) for moment in MOMENTS]
    record_property("kill_points", len(kill_points))
    for kill_point in kill_points:
        app.start_afresh()
        linked = revoked()
        assert invoke("functions.plan_reconcile.app", {}, kill_point=kill_point).answer is None
        counts = reconcile(app)
        assert (counts["drift"], counts["failed"]) == (1, 0)
        assert app.read(linked)["status"] == "Deauthorized"


def test_changes_are_published_again_after_a_kill(app: App, record_property: Callable[[str, object], None]) -> None:
    """WHEN the stream delivers the records again THEN each event has the same id and content: at least once."""
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
    invocation = invoke("functions.publish_changes.app", {"Records": records})
    assert invocation.exchanges == ["PutEvents"]
    published = _published(app, linked["customerId"])
    kill_points = all_kill_points(invocation.exchanges)
    record_property("kill_points", len(kill_points))
    for kill_point in kill_points:
        assert invoke("functions.publish_changes.app", {"Records": records}, kill_point=kill_point).answer is None
        assert invoke("functions.publish_changes.app", {"Records": records}).answer == {"batchItemFailures": []}
    assert _published(app, linked["customerId"]) == published


def _published(app: App, customer_id: str) -> set[str]:
    details = [event["detail"] for event in app.stack.events()]
    return {json.dumps(detail, sort_keys=True) for detail in details if detail["customerId"] == customer_id}
