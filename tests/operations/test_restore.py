"""What a table has lost is brought back from one that was restored beside it, and nothing else is touched."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from operations.restore import Restoration, main
from shared.store.table import Table
from tests.announcements import told as events_of
from tests.conftest import App
from tests.functions.test_reconcile import adopting_strays as adopting_orphans, reconcile
from tests.payloads import webhook_about


@pytest.fixture
def restored(app: App) -> Iterator[str]:
    """A table's name, as DynamoDB restores one: with the keys of ours."""
    dynamodb, name = app.stack.dynamodb, f"restored-{uuid4()}"
    there = dynamodb.describe_table(TableName=app.stack.table_name)["Table"]
    dynamodb.create_table(
        TableName=name,
        KeySchema=there["KeySchema"],
        AttributeDefinitions=[one for one in there["AttributeDefinitions"] if one["AttributeName"] in {"pk", "sk"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield name
    dynamodb.delete_table(TableName=name)


def back_up(app: App, name: str) -> None:
    for item in app.stack.dynamodb.scan(TableName=app.stack.table_name)["Items"]:
        app.stack.dynamodb.put_item(TableName=name, Item=item)


def lose(app: App, *partitions: str) -> None:
    Table(app.stack.dynamodb, app.stack.table_name).delete_many(
        (item["pk"], item["sk"]) for pk in partitions for item in app.items(pk)
    )


def partitions(*subjects: dict[str, Any]) -> list[str]:
    return [pk for one in subjects for pk in (f"CUSTOMER#{one['customerId']}", f"COMPANY#{one['companyId']}")]


def restore(app: App, name: str) -> None:
    assert main({"TABLE_NAME": app.stack.table_name, "FROM": name}) == 0


def test_what_was_lost_is_restored_and_the_rest_stays(
    app: App, restored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """GIVEN one customer lost, one changed and one deleted since THEN the first is restored, with its connection and
    timeline, the second is as it is now, and the third stays deleted.
    """
    lost = app.linked(app.customer()["customerId"])
    changed, deleted = app.customer(), app.customer()
    back_up(app, restored)
    timeline = app.get(f"/customers/{lost['customerId']}/connections/{lost['connectionId']}/events").json()
    app.http.patch(f"/customers/{changed['customerId']}", json={"name": "Bank of Mary"})
    app.http.delete(f"/customers/{deleted['customerId']}")
    app.codat.wait_idle()
    lose(app, *partitions(lost))
    capsys.readouterr()

    restore(app, restored)

    shown = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]
    # The customer's pointer is put first, and again with the customer.
    assert shown[-2] == f"{3 + len(timeline['events'])} items were missing, and are restored."
    assert app.read(lost) == lost
    assert app.get(f"/customers/{lost['customerId']}/connections/{lost['connectionId']}/events").json() == timeline
    assert app.get(f"/customers/{changed['customerId']}").json()["name"] == "Bank of Mary"
    assert app.get(f"/customers/{deleted['customerId']}").status_code == 404
    assert not [item for item in app.items() if item.get("restoring")]
    restore(app, restored)
    assert "0 items were missing" in capsys.readouterr().out


def test_a_customer_that_was_deleted_long_ago_is_deleted_again(app: App, restored: str) -> None:
    """GIVEN a backup that is older than its tombstone THEN the reconcile that follows deletes it."""
    deleted = app.customer()
    back_up(app, restored)
    app.http.delete(f"/customers/{deleted['customerId']}")
    app.codat.wait_idle()
    lose(app, *partitions(deleted))
    restore(app, restored)
    assert reconcile(app)["companiesDeleted"] == 1
    assert app.get(f"/customers/{deleted['customerId']}").status_code == 404


def test_a_listener_by_versions_ends_in_the_apis_state(app: App, restored: str) -> None:
    """GIVEN a loss, webhooks during the loss, a restore, a reconcile and later changes THEN whoever keeps the highest
    version of each customer and connection has what the API shows.
    """
    kept, lost = (app.linked(app.customer()["customerId"]) for _ in range(2))
    back_up(app, restored)
    after_backup = app.customer()
    app.http.patch(f"/customers/{lost['customerId']}", json={"name": "Changed after the backup"})
    lose(app, *partitions(lost, after_backup))
    app.stack.events()
    app.codat.state.revoke(lost["companyId"], lost["connectionId"])
    app.codat.state.link(lost["companyId"], lost["connectionId"])
    app.codat.wait_idle()
    restore(app, restored)
    assert app.stack.background.reconcile(adopt_ours=True)["failed"] == 0
    assert app.get(f"/customers/{after_backup['customerId']}").json()["companyId"] == after_backup["companyId"]
    app.http.patch(f"/customers/{lost['customerId']}", json={"name": "Changed after the restore"})
    app.codat.state.revoke(lost["companyId"], lost["connectionId"])
    app.codat.wait_idle()
    for subject in (kept, lost, after_backup):
        assert heard(app, subject["customerId"]) == shown(app, subject["customerId"])


def heard(app: App, customer_id: str) -> Any:
    """What a listener has that keeps the highest version, and does not care for the order."""
    newest: dict[str, dict[str, Any]] = {}
    for event in reversed(events_of(app, customer_id)):
        detail = event["detail"]
        subject = detail.get("connectionId", "customer")
        if detail["version"] > newest.get(subject, {}).get("version", 0):
            newest[subject] = {**detail, "type": event["detail-type"]}
    customer = newest.pop("customer")
    fields = ("status", "linkedAt", "initialReadAt", "lastSync")
    live = {
        subject: [detail[field] for field in fields]
        for subject, detail in newest.items()
        if detail["status"] != "Deleted"
    }
    return customer["type"] != "customer.deleted", customer["companyId"], live


def shown(app: App, customer_id: str) -> Any:
    answer = app.get(f"/customers/{customer_id}").json()
    fields = ("status", "linkedAt", "initialReadAt", "lastSync")
    live = {one["connectionId"]: [one[field] for field in fields] for one in answer["connections"]}
    return True, answer["companyId"], live


def test_webhooks_wait_for_the_end_of_a_restore(app: App, restored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a restore that was interrupted after the pointers THEN webhooks are answered 503, reconcile adopts and
    deletes nothing, and the next run finishes.
    """
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored)
    lose(app, *partitions(linked))
    with monkeypatch.context() as patched:
        patched.setattr(Restoration, "_restore_item", crash)
        with pytest.raises(Crashed):
            Restoration(app.stack.table_name, restored).run()
    about: dict[str, Any] = {"company_id": linked["companyId"], "connection_id": linked["connectionId"]}
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    event = webhook_about("connection.disconnected.deauthorized", **about, generatedDate=now)
    assert app.deliver(event).status_code == 503
    with adopting_orphans():
        found = reconcile(app)
    assert (found["drift"], found.get("strays", 0)) == (0, 0)
    restore(app, restored)
    assert app.read(linked)["status"] == "Linked"
    assert app.deliver(event).status_code == 204
    assert app.read(linked)["status"] == "Deauthorized"


class Crashed(Exception):
    pass


def crash(_: Restoration, __: Any) -> None:
    raise Crashed


def test_a_customer_that_was_created_again_during_the_loss_keeps_its_company(app: App, restored: str) -> None:
    """GIVEN an app that created its customer again before the restore THEN the older company is left to a person."""
    customer = app.customer()
    back_up(app, restored)
    lose(app, *partitions(customer))
    again = app.customer(customer["customerId"])
    restore(app, restored)
    assert app.get(f"/customers/{customer['customerId']}").json()["companyId"] == again["companyId"]
    assert app.items(f"COMPANY#{customer['companyId']}") == []


def test_with_a_stack_the_reconcile_is_started(app: App, restored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function of the stack, asked to adopt what was created after the backup."""
    back_up(app, restored)
    invoked: list[tuple[str, Any]] = []
    names = {"Table": app.stack.table_name, "PlanReconcileFunction": "plan-reconcile-1"}
    monkeypatch.setattr("operations.restore._resource", lambda _stack, logical_id: names[logical_id])
    monkeypatch.setattr("operations.restore._invoke", lambda name, payload: invoked.append((name, payload)))
    assert main({"STACK": "codat-customers", "FROM": restored}) == 0
    assert invoked == [("plan-reconcile-1", {"adoptOurs": True})]


@pytest.mark.parametrize("environment", [{}, {"TABLE_NAME": "t"}, {"TABLE_NAME": "t", "FROM": "t"}])
def test_it_asks_for_what_it_needs(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Two tables, and not the same."""
    assert main(environment) == 2
    assert "make restore STACK=" in capsys.readouterr().err


def test_a_table_that_is_not_there_is_said_so(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line."""
    assert main({"TABLE_NAME": app.stack.table_name, "FROM": "nowhere"}) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "ResourceNotFoundException" in line
