"""`make restore` brings back what a table has lost, also if it is interrupted, and leaves everything else as it is."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from itertools import count
from time import sleep, time
from typing import Any
from uuid import uuid4

import pytest
from botocore.httpsession import URLLib3Session
from codat_simulator.faults import Fault

from cli.restore import Restoration, main
from shared.store.customers import Customers
from shared.store.table import Item, Key, Table, Write, put
from tests.change_events import events_about as events_of
from tests.conftest import App
from tests.integration.functions.test_reconcile import adopting_strays as adopting_orphans, reconcile
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
    live(app).delete_many((item["pk"], item["sk"]) for pk in partitions for item in app.items(pk))


def live(app: App) -> Table:
    return Table(app.stack.dynamodb, app.stack.table_name)


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
    """GIVEN a loss, webhooks during the loss, a restore, a reconcile and later changes THEN a listener that keeps the
    highest version of each customer and connection has what the API shows.
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
    wait_for_the_next_second()
    restore(app, restored)
    assert app.stack.background.reconcile(adopt_ours=True)["failed"] == 0
    assert app.get(f"/customers/{after_backup['customerId']}").json()["companyId"] == after_backup["companyId"]
    app.http.patch(f"/customers/{lost['customerId']}", json={"name": "Changed after the restore"})
    app.codat.state.revoke(lost["companyId"], lost["connectionId"])
    app.codat.wait_idle()
    for subject in (kept, lost, after_backup):
        assert listener_state(app, subject["customerId"]) == api_state(app, subject["customerId"])


def wait_for_the_next_second() -> None:
    """Wait as long as the clock of DynamoDB's answers, which has whole seconds, can be behind the last version."""
    sleep(1.1)


def listener_state(app: App, customer_id: str) -> Any:
    """Return what a listener has that keeps the highest version, and ignores the order."""
    newest: dict[str, dict[str, Any]] = {}
    for event in reversed(events_of(app, customer_id)):
        detail = event["detail"]
        subject = detail.get("connectionId", "customer")
        if detail["version"] > newest.get(subject, {}).get("version", 0):
            newest[subject] = {**detail, "type": event["detail-type"]}
    customer = newest.pop("customer")
    fields = ("status", "linkedAt", "initialReadAt", "lastSync")
    connections = {
        subject: [detail[field] for field in fields]
        for subject, detail in newest.items()
        if detail["status"] != "Deleted"
    }
    return customer["type"] != "customer.deleted", customer["companyId"], connections


def api_state(app: App, customer_id: str) -> Any:
    answer = app.get(f"/customers/{customer_id}").json()
    fields = ("status", "linkedAt", "initialReadAt", "lastSync")
    connections = {one["connectionId"]: [one[field] for field in fields] for one in answer["connections"]}
    return True, answer["companyId"], connections


@pytest.mark.parametrize("hours", [-1, 1], ids=["operator ahead", "operator behind"])
def test_versions_use_the_clock_of_dynamodb(
    app: App, restored: str, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """GIVEN an operator whose clock is an hour ahead of DynamoDB's, or behind it THEN restored versions are DynamoDB's
    time; GIVEN a version that is above it THEN the next one.
    """
    linked = app.linked(app.customer()["customerId"])
    lost = app.customer()
    back_up(app, restored)
    lose(app, *partitions(linked, lost))
    backup = Table(app.stack.dynamodb, restored)
    for item in backup.query(f"COMPANY#{linked['companyId']}", "CONNECTION#"):
        backup.write(put({**item, "version": 1}))
    for customer, version in ((linked, 1), (lost, 4_000_000_000_000)):
        [item] = backup.query(f"CUSTOMER#{customer['customerId']}", "CUSTOMER")
        backup.write(put({**item, "version": version}))
    times = move_clock_of_dynamodb(timedelta(hours=hours), monkeypatch)
    Restoration(app.stack.table_name, restored).run()
    versions = {item["version"] for pk in partitions(linked) for item in app.items(pk) if "version" in item}
    assert versions
    assert versions <= times
    [item] = app.items(f"CUSTOMER#{lost['customerId']}")
    assert item["version"] == 4_000_000_000_001


def move_clock_of_dynamodb(ahead: timedelta, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Return the set to which each answer's time is added, in milliseconds since 1970."""
    times: set[int] = set()
    send = URLLib3Session.send

    def moved(session: URLLib3Session, request: Any) -> Any:
        response = send(session, request)
        date = parsedate_to_datetime(response.headers["Date"]) + ahead
        response.headers["Date"] = format_datetime(date, usegmt=True)
        times.add(int(date.timestamp()) * 1000)
        return response

    monkeypatch.setattr(URLLib3Session, "send", moved)
    return times


def test_an_interrupted_restore_is_repeated(app: App, restored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a restore that crashes before its first write, its second, and so on THEN calls and webhooks are answered
    503 once the customer is marked, and the next run restores every item as it was, with a higher version.
    """
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored)
    before = contents(app)
    for writes in count():
        lose(app, *partitions(linked))
        with monkeypatch.context() as patched:
            crash_after(writes, patched)
            try:
                Restoration(app.stack.table_name, restored, concurrency=1).run()
            except Crashed:
                pass
            else:
                break
        assert statuses(app, linked) == ({404, 204} if writes == 0 else {503})
        counts = Restoration(app.stack.table_name, restored, concurrency=1).run()
        assert (counts["CUSTOMER"], counts["COMPANY"]) == (1, 0 if writes else 1)
        assert counts.total() == len(before) - writes
        assert contents(app) == before
        assert app.read(linked) == linked
    assert writes == len(before)  # two of the customer and its pointer, and one of each other item
    assert contents(app) == before


def contents(app: App) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the items of companies and customers without their versions, which a restore raises."""
    return {
        (item["pk"], item["sk"]): {name: value for name, value in item.items() if name != "version"}
        for item in app.items()
        if item["pk"].startswith(("CUSTOMER#", "COMPANY#"))
    }


def statuses(app: App, linked: dict[str, Any]) -> set[int]:
    """Return how calls for the customer and webhooks about its company are answered."""
    customer, name = f"/customers/{linked['customerId']}", {"name": "Bank of Mary"}
    return {
        app.get(customer).status_code,
        app.get(f"{customer}/connections/{linked['connectionId']}").status_code,
        app.http.patch(customer, json=name).status_code,
        app.post(f"{customer}/connections", {"platformKey": "gbol"}).status_code,
        app.deliver(disconnection(linked)).status_code,
    }


def disconnection(linked: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"company_id": linked["companyId"], "connection_id": linked["connectionId"]}
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return webhook_about("connection.disconnected.deauthorized", **about, generatedDate=now)


class Crashed(Exception):
    pass


def crash_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crash before the write that follows so many."""
    remaining, write = iter(range(writes)), Table.write

    def counted(table: Table, *requests: Write) -> None:
        if next(remaining, None) is None:
            raise Crashed
        write(table, *requests)

    monkeypatch.setattr("cli.restore.Table.write", counted)


@pytest.mark.parametrize("step", ["_fill", "_finish"])
def test_a_customer_is_half_restored_until_the_last_step(
    app: App, restored: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """GIVEN a restore that was interrupted after a step THEN creating and deleting the customer is answered 503, no
    event about it is published, reconcile adopts and deletes nothing, and the next run finishes.
    """
    linked = app.linked(app.customer()["customerId"])
    customer = {"customerId": linked["customerId"], "name": "Bank of Dave"}
    back_up(app, restored)
    lose(app, *partitions(linked))
    before = [event for event in events_of(app, linked["customerId"]) if event["detail-type"].startswith("customer.")]
    with monkeypatch.context() as patched:
        patched.setattr(Restoration, step, crash)
        with pytest.raises(Crashed):
            Restoration(app.stack.table_name, restored).run()
    assert app.post("/customers", customer).status_code == 503
    assert app.http.delete(f"/customers/{linked['customerId']}").status_code == 503
    event = disconnection(linked)
    assert app.deliver(event).status_code == 503
    with adopting_orphans():
        found = reconcile(app)
    assert (found["drift"], found.get("strays", 0)) == (0, 0)
    after = [event for event in events_of(app, linked["customerId"]) if event["detail-type"].startswith("customer.")]
    assert after == before
    restore(app, restored)
    assert app.read(linked)["status"] == "Linked"
    assert app.deliver(event).status_code == 204
    assert app.read(linked)["status"] == "Deauthorized"


def crash(_: Restoration, __: Any, **___: Any) -> None:
    raise Crashed


@pytest.mark.parametrize("kind", ["CUSTOMER", "COMPANY", "CONNECTION", "EVENT"])
def test_one_item_that_was_lost_alone_is_restored(app: App, restored: str, kind: str) -> None:
    """GIVEN a customer of whose items one kind was lost THEN that is restored, and the rest stays as it is."""
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored)
    before = contents(app)
    lost = [(item["pk"], item["sk"]) for pk in partitions(linked) for item in app.items(pk)]
    lost = [(pk, sk) for pk, sk in lost if sk.partition("#")[0] == kind]
    live(app).delete_many(lost)
    counts = Restoration(app.stack.table_name, restored).run()
    assert counts == {kind: len(lost)}
    assert contents(app) == before
    assert app.read(linked) == linked


TAKEN: dict[str, dict[str, Any]] = {
    "a tombstone": {"ended": True, "expiresAt": 4_000_000_000},
    "another customer's, and ended": {"customerId": "c-other", "ended": True},
    "another customer's": {"customerId": "c-other"},
    "reserved": {"customerId": "c-lost", "reserved": True},
    "discarded": {"discarded": {"name": "By hand", "adopter": "0"}, "expiresAt": 4_000_000_000},
}


@pytest.mark.parametrize("pointer", TAKEN.values(), ids=TAKEN)
def test_a_pointer_that_has_changed_is_not_overwritten(app: App, restored: str, pointer: dict[str, Any]) -> None:
    """GIVEN a company that was deleted or changed hands since the backup THEN neither its old customer nor the
    connections of that come back.
    """
    linked = app.linked(app.customer("c-lost")["customerId"])
    back_up(app, restored)
    lose(app, *partitions(linked))
    changed = {**key_of_pointer(linked), "companyId": linked["companyId"], **pointer}
    live(app).write(put(changed))
    counts = Restoration(app.stack.table_name, restored).run()
    assert not {"COMPANY", "CUSTOMER", "CONNECTION"} & counts.keys()
    assert app.items(f"CUSTOMER#{linked['customerId']}") == []
    assert [item for item in app.items(f"COMPANY#{linked['companyId']}") if item["sk"] == "COMPANY"] == [changed]


def key_of_pointer(linked: dict[str, Any]) -> dict[str, str]:
    return {"pk": f"COMPANY#{linked['companyId']}", "sk": "COMPANY"}


def test_a_customer_that_was_created_again_during_the_loss_keeps_its_company(app: App, restored: str) -> None:
    """GIVEN an app that created its customer again before the restore THEN the older company is left to a person."""
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored)
    lose(app, *partitions(linked))
    again = app.customer(linked["customerId"])
    restore(app, restored)
    assert app.get(f"/customers/{linked['customerId']}").json()["companyId"] == again["companyId"]
    assert app.items(f"COMPANY#{linked['companyId']}") == []


def test_items_that_appear_after_the_table_was_read_stay(
    app: App, restored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN reads that miss every item, and show every customer as marked THEN the conditions of the writes keep the
    table as it is.
    """

    class Outdated(Table):
        def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
            return {key: {"state": "restoring"} for key in keys if key[1] == "CUSTOMER"}

    linked = app.linked(app.customer()["customerId"])
    deleted = app.linked(app.customer()["customerId"])
    back_up(app, restored)
    app.http.patch(f"/customers/{linked['customerId']}", json={"name": "Bank of Mary"})
    app.http.delete(f"/customers/{deleted['customerId']}")
    app.codat.wait_idle()
    before = app.items()
    monkeypatch.setattr("cli.restore.Table", Outdated)
    assert Restoration(app.stack.table_name, restored).run() == {}
    assert app.items() == before


def test_what_has_passed_is_not_restored(app: App, restored: str) -> None:
    """GIVEN leases, a tombstone, an expired entry and a customer that was being created, all in the backup THEN none of
    them is restored, and a quarantined webhook and an API key's fingerprint are.
    """
    linked = app.linked(app.customer()["customerId"])
    pk, expired = f"COMPANY#{linked['companyId']}", int(time()) - 60
    backup = Table(app.stack.dynamodb, restored)
    before = contents(app)
    lease = {"state": "creating", "leaseOwner": "o", "leaseUntil": 0}
    passed: list[dict[str, Any]] = [
        {"pk": "CUSTOMER#c-new", "sk": "CUSTOMER", "customerId": "c-new", **lease},
        {"pk": "CUSTOMER#c-half", "sk": "CUSTOMER", "customerId": "c-half", "companyId": "0", "state": "restoring"},
        {"pk": pk, "sk": "CREATING#gbol", **lease, "expiresAt": 4_000_000_000},
        {"pk": pk, "sk": "CONNECTION#0", "version": 1, "tombstone": True, "expiresAt": 4_000_000_000},
        {"pk": pk, "sk": "EVENT#0#0#0", "expiresAt": expired},
        {"pk": "COMPANY#reserved", "sk": "COMPANY", "customerId": "c-new", "reserved": True},
        {"pk": "COMPANY#ended", "sk": "COMPANY", "customerId": "c-new", "ended": True},
    ]
    present: list[dict[str, Any]] = [
        {"pk": "UNREADABLE#2026-11-22", "sk": "msg_0", "body": b"{}", "expiresAt": 4_000_000_000},
        {"pk": "APIKEYS", "sk": "KEY#0", "proof": "first"},
    ]
    for item in (*passed, *present):
        backup.write(put(item))
    counts = Restoration(app.stack.table_name, restored).run()
    assert counts == {"UNREADABLE": 1, "APIKEYS": 1}
    assert contents(app) == before
    assert [live(app).get((item["pk"], item["sk"])) for item in present] == present


def test_a_deletion_that_was_in_progress_is_finished(app: App, restored: str) -> None:
    """GIVEN a customer whose deletion was interrupted before the backup, under a lease that has not ended, and that was
    lost THEN the reconcile that follows deletes its company.
    """
    linked = app.linked(app.customer()["customerId"])
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="DELETE"))
    assert app.http.delete(f"/customers/{linked['customerId']}").status_code == 502
    app.codat.faults.remove(fault)
    [item] = app.items(f"CUSTOMER#{linked['customerId']}")
    live(app).write(put({**item, "leaseUntil": 4_000_000_000_000}))
    back_up(app, restored)
    lose(app, *partitions(linked))
    restore(app, restored)
    assert_is_being_deleted(app, linked)
    assert_reconcile_deletes(app, linked)


def test_a_deletion_that_lost_its_customer_is_finished(app: App, restored: str) -> None:
    """GIVEN a customer that was lost after its company was deleted and its pointer was ended THEN the reconcile that
    follows deletes the rest.
    """
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored)
    lose(app, f"CUSTOMER#{linked['customerId']}")
    close(app, linked)
    assert Restoration(app.stack.table_name, restored).run() == {"CUSTOMER": 1}
    assert_is_being_deleted(app, linked)
    assert_reconcile_deletes(app, linked)


def test_a_company_that_is_deleted_during_the_restore_stays_deleted(
    app: App, restored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a deletion that was begun before the loss, ends the pointer during the restore, and crashes THEN the
    reconcile that follows deletes the rest.
    """
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored)
    lose(app, *partitions(linked))
    fill = Restoration._fill

    def close_and_fill(restoration: Restoration, items: Any, *, now: int) -> list[str]:
        close(app, linked)
        return fill(restoration, items, now=now)

    monkeypatch.setattr(Restoration, "_fill", close_and_fill)
    restore(app, restored)
    assert_is_being_deleted(app, linked)
    assert_reconcile_deletes(app, linked)


def close(app: App, linked: dict[str, Any]) -> None:
    """Delete the company at Codat and crash before the customer is deleted here."""
    app.codat.wait_idle()
    app.codat.faults.add(Fault(kind="webhook-drop"))
    if app.codat.state.companies():
        app.codat.state.delete_company(linked["companyId"])
    Customers(live(app)).close_company(linked["companyId"], linked["customerId"])


def assert_is_being_deleted(app: App, linked: dict[str, Any]) -> None:
    assert app.get(f"/customers/{linked['customerId']}").status_code == 404
    answer = app.post("/customers", {"customerId": linked["customerId"], "name": "Bank of Dave"})
    assert (answer.status_code, answer.json()["type"]) == (409, "deletion-in-progress")


def assert_reconcile_deletes(app: App, linked: dict[str, Any]) -> None:
    assert reconcile(app)["deletionsFinished"] == 1
    app.codat.wait_idle()
    assert app.codat.state.companies() == []
    assert linked["customerId"] not in str(app.items())
    newest = max(
        (event for event in events_of(app, linked["customerId"]) if event["detail-type"].startswith("customer.")),
        key=lambda event: int(event["detail"]["version"]),
    )
    assert newest["detail-type"] == "customer.deleted"


def test_with_a_stack_the_reconcile_is_started(app: App, restored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function of the stack, asked to adopt what was created after the backup."""
    back_up(app, restored)
    invoked: list[tuple[str, Any]] = []
    names = {"Table": app.stack.table_name, "PlanReconcileFunction": "plan-reconcile-1"}
    monkeypatch.setattr("cli.restore._resource", lambda _stack, logical_id: names[logical_id])
    monkeypatch.setattr("cli.restore._invoke", lambda name, payload: invoked.append((name, payload)))
    assert main({"STACK": "codat-customers", "FROM": restored}) == 0
    assert invoked == [("plan-reconcile-1", {"adoptOurs": True})]


@pytest.mark.parametrize("environment", [{}, {"TABLE_NAME": "t"}, {"TABLE_NAME": "t", "FROM": "t"}])
def test_it_asks_for_what_it_needs(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Two tables, and not the same."""
    assert main(environment) == 2
    assert "make restore STACK=" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["TABLE_NAME", "FROM"])
def test_a_missing_table_is_one_line(app: App, restored: str, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    """GIVEN a table that does not exist THEN the command says so, and that it can be repeated."""
    app.customer()
    back_up(app, restored)
    capsys.readouterr()
    assert main({"TABLE_NAME": app.stack.table_name, "FROM": restored, missing: "nowhere"}) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "ResourceNotFoundException" in line
    assert "Repeat the command" in line
