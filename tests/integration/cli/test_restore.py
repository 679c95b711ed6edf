"""`make restore` puts back the lost items of a table, also after an interruption, and changes no other item."""

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

from cli.__main__ import main
from cli.restore import Restoration
from shared.store.attributes import Item
from shared.store.customers import Customers
from shared.store.table import Key, Table, Write, delete, put
from tests.change_events import events_about as events_of
from tests.conftest import App
from tests.integration.functions.calls import adopting_orphans, reconcile
from tests.payloads import webhook_about


@pytest.fixture
def restored_table(app: App) -> Iterator[str]:
    """Create a table as DynamoDB restores a backup, with the keys of the stack's table, and return its name."""
    dynamodb, name = app.stack.dynamodb, f"restored-{uuid4()}"
    live_table = dynamodb.describe_table(TableName=app.stack.table_name)["Table"]
    attributes = live_table["AttributeDefinitions"]
    dynamodb.create_table(
        TableName=name,
        KeySchema=live_table["KeySchema"],
        AttributeDefinitions=[each for each in attributes if each["AttributeName"] in {"pk", "sk"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield name
    dynamodb.delete_table(TableName=name)


def back_up(app: App, name: str) -> None:
    for item in app.stack.dynamodb.scan(TableName=app.stack.table_name)["Items"]:
        app.stack.dynamodb.put_item(TableName=name, Item=item)


def lose(app: App, *partitions: str) -> None:
    for pk in partitions:
        for item in app.items(pk):
            live(app).write(delete((item["pk"], item["sk"])))


def live(app: App) -> Table:
    return Table(app.stack.dynamodb, app.stack.table_name)


def partitions(*subjects: dict[str, Any]) -> list[str]:
    """Return the partitions of these customers, or of the customers of these connections."""
    return [pk for each in subjects for pk in (f"CUSTOMER#{each['customerId']}", f"COMPANY#{each['companyId']}")]


def restore(app: App, name: str) -> None:
    assert main(["restore"], {"TABLE_NAME": app.stack.table_name, "FROM": name}) == 0


def test_lost_items_are_restored_and_the_others_stay(
    app: App, restored_table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """GIVEN a lost customer, a customer that changed and a customer that was deleted, all after the backup THEN the
    lost customer is restored with its connection and timeline, and the others stay changed and deleted.
    """
    lost = app.linked(app.customer()["customerId"])
    changed, deleted = app.customer(), app.customer()
    back_up(app, restored_table)
    timeline = app.get(f"/customers/{lost['customerId']}/connections/{lost['connectionId']}/events").json()
    app.http.patch(f"/customers/{changed['customerId']}", json={"name": "Bank of Mary"})
    app.http.delete(f"/customers/{deleted['customerId']}")
    app.codat.wait_idle()
    lose(app, *partitions(lost))
    capsys.readouterr()

    restore(app, restored_table)

    shown = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]
    assert shown[-2] == f"{3 + len(timeline['events'])} items were missing, and are restored."
    assert app.read(lost) == lost
    assert app.get(f"/customers/{lost['customerId']}/connections/{lost['connectionId']}/events").json() == timeline
    assert app.get(f"/customers/{changed['customerId']}").json()["name"] == "Bank of Mary"
    assert app.get(f"/customers/{deleted['customerId']}").status_code == 404
    assert not [item for item in app.items() if item.get("restoring")]
    restore(app, restored_table)
    assert "0 items were missing" in capsys.readouterr().out


def test_a_restored_connection_is_in_the_lists_again(app: App, restored_table: str) -> None:
    """GIVEN a lost connection that needs a person THEN it is in the indexes again."""
    lost = app.linked(app.customer()["customerId"])
    app.codat.state.revoke(lost["companyId"], lost["connectionId"])
    app.codat.wait_idle()
    back_up(app, restored_table)
    lose(app, *partitions(lost))
    lists = ("/connections?attention=true", "/connections?status=Deauthorized")
    assert [app.get(path).json()["connections"] for path in lists] == [[], []]
    restore(app, restored_table)
    assert [app.get(path).json()["connections"] for path in lists] == [[app.read(lost)]] * 2


def test_a_customer_without_tombstone_is_deleted_again(app: App, restored_table: str) -> None:
    """GIVEN a backup that is older than its tombstone THEN the next reconcile deletes it."""
    deleted = app.customer()
    back_up(app, restored_table)
    app.http.delete(f"/customers/{deleted['customerId']}")
    app.codat.wait_idle()
    lose(app, *partitions(deleted))
    restore(app, restored_table)
    assert reconcile(app)["companiesDeleted"] == 1
    assert app.get(f"/customers/{deleted['customerId']}").status_code == 404


def test_consumers_of_events_end_in_the_state_of_the_api(app: App, restored_table: str) -> None:
    """GIVEN a loss, webhooks during the loss, a restore, a reconcile and later changes THEN a consumer that keeps the
    highest version of each customer and connection has the state that the API returns.
    """
    kept, lost = (app.linked(app.customer()["customerId"]) for _ in range(2))
    back_up(app, restored_table)
    after_backup = app.customer()
    app.http.patch(f"/customers/{lost['customerId']}", json={"name": "Changed after the backup"})
    lose(app, *partitions(lost, after_backup))
    app.stack.events()
    app.codat.state.revoke(lost["companyId"], lost["connectionId"])
    app.codat.state.link(lost["companyId"], lost["connectionId"])
    app.codat.wait_idle()
    wait_for_the_next_second()
    restore(app, restored_table)
    assert app.stack.reconcile.run(adopt_ours=True)["failed"] == 0
    assert app.get(f"/customers/{after_backup['customerId']}").json()["companyId"] == after_backup["companyId"]
    app.http.patch(f"/customers/{lost['customerId']}", json={"name": "Changed after the restore"})
    app.codat.state.revoke(lost["companyId"], lost["connectionId"])
    app.codat.wait_idle()
    for subject in (kept, lost, after_backup):
        assert consumer_state(app, subject["customerId"]) == api_state(app, subject["customerId"])


def wait_for_the_next_second() -> None:
    """Wait until DynamoDB's time, which is in whole seconds, is above the last version."""
    sleep(1.1)


def consumer_state(app: App, customer_id: str) -> Any:
    """Return the state of a consumer that keeps the highest version, whatever the order of the events."""
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
    connections = {
        connection["connectionId"]: [connection[field] for field in fields] for connection in answer["connections"]
    }
    return True, answer["companyId"], connections


@pytest.mark.parametrize("hours", [-1, 1], ids=["operator ahead", "operator behind"])
def test_versions_use_the_clock_of_dynamodb(
    app: App, restored_table: str, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """GIVEN an operator whose clock is an hour ahead of DynamoDB's, or behind it THEN restored versions are DynamoDB's
    time; GIVEN a version above that time THEN the restored version is the next higher number.
    """
    linked = app.linked(app.customer()["customerId"])
    lost = app.customer()
    back_up(app, restored_table)
    lose(app, *partitions(linked, lost))
    backup = Table(app.stack.dynamodb, restored_table)
    for item in backup.query(f"COMPANY#{linked['companyId']}", "CONNECTION#"):
        backup.write(put({**item, "version": 1}))
    for customer, version in ((linked, 1), (lost, 4_000_000_000_000)):
        [item] = backup.query(f"CUSTOMER#{customer['customerId']}", "CUSTOMER")
        backup.write(put({**item, "version": version}))
    times = move_clock_of_dynamodb(timedelta(hours=hours), monkeypatch)
    Restoration(app.stack.table_name, restored_table).run()
    versions = {item["version"] for pk in partitions(linked) for item in app.items(pk) if "version" in item}
    assert versions
    assert versions <= times
    [item] = app.items(f"CUSTOMER#{lost['customerId']}")
    assert item["version"] == 4_000_000_000_001


def move_clock_of_dynamodb(ahead: timedelta, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Return a set, to which the time of each later response is added, in milliseconds since 1970."""
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


def test_an_interrupted_restore_is_repeated(app: App, restored_table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a restore that crashes before its first write, its second, and so on THEN calls and webhooks are answered
    503 once the customer is marked, and the next run restores every item as it was, with a higher version.
    """
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored_table)
    before = contents(app)
    for writes in count():
        lose(app, *partitions(linked))
        with monkeypatch.context() as patched:
            crash_after(writes, patched)
            try:
                Restoration(app.stack.table_name, restored_table, concurrency=1).run()
            except Crashed:
                pass
            else:
                break
        assert statuses(app, linked) == ({404, 204} if writes == 0 else {503})
        counts = Restoration(app.stack.table_name, restored_table, concurrency=1).run()
        assert (counts["CUSTOMER"], counts["COMPANY"]) == (1, 0 if writes else 1)
        assert counts.total() == len(before) - writes
        assert contents(app) == before
        assert app.read(linked) == linked
    assert writes == len(before)  # two for the customer with its pointer, and one for each other item
    assert contents(app) == before


def contents(app: App) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the items of companies and customers without their versions, which a restore raises."""
    return {
        (item["pk"], item["sk"]): {name: value for name, value in item.items() if name != "version"}
        for item in app.items()
        if item["pk"].startswith(("CUSTOMER#", "COMPANY#"))
    }


def statuses(app: App, linked: dict[str, Any]) -> set[int]:
    """Return the statuses of calls for the customer and of a webhook about its company."""
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
    """Crash at the write after `writes` writes."""
    remaining, write = iter(range(writes)), Table.write

    def counted(table: Table, *requests: Write) -> None:
        if next(remaining, None) is None:
            raise Crashed
        write(table, *requests)

    monkeypatch.setattr("cli.restore.Table.write", counted)


@pytest.mark.parametrize("step", ["_fill", "_finish"])
def test_a_customer_is_unavailable_until_the_last_step(
    app: App, restored_table: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """GIVEN a restore that was interrupted after a step THEN creating and deleting the customer is answered 503, no
    event about it is published, reconcile adopts and deletes nothing, and the next run finishes.
    """
    linked = app.linked(app.customer()["customerId"])
    customer = {"customerId": linked["customerId"], "name": "Bank of Dave"}
    back_up(app, restored_table)
    lose(app, *partitions(linked))
    before = [event for event in events_of(app, linked["customerId"]) if event["detail-type"].startswith("customer.")]
    with monkeypatch.context() as patched:
        patched.setattr(Restoration, step, crash)
        with pytest.raises(Crashed):
            Restoration(app.stack.table_name, restored_table).run()
    assert app.post("/customers", customer).status_code == 503
    assert app.http.delete(f"/customers/{linked['customerId']}").status_code == 503
    event = disconnection(linked)
    assert app.deliver(event).status_code == 503
    with adopting_orphans():
        counts = reconcile(app)
    assert (counts["drift"], counts.get("strays", 0)) == (0, 0)
    after = [event for event in events_of(app, linked["customerId"]) if event["detail-type"].startswith("customer.")]
    assert after == before
    restore(app, restored_table)
    assert app.read(linked)["status"] == "Linked"
    assert app.deliver(event).status_code == 204
    assert app.read(linked)["status"] == "Deauthorized"


def crash(_: Restoration, __: Any, **___: Any) -> None:
    raise Crashed


@pytest.mark.parametrize("kind", ["CUSTOMER", "COMPANY", "CONNECTION", "EVENT"])
def test_a_single_lost_item_is_restored(app: App, restored_table: str, kind: str) -> None:
    """GIVEN a customer that lost the items of a single kind THEN these are restored, and the others stay."""
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored_table)
    before = contents(app)
    lost = [(item["pk"], item["sk"]) for pk in partitions(linked) for item in app.items(pk)]
    lost = [(pk, sk) for pk, sk in lost if sk.partition("#")[0] == kind]
    for key in lost:
        live(app).write(delete(key))
    counts = Restoration(app.stack.table_name, restored_table).run()
    assert counts == {kind: len(lost)}
    assert contents(app) == before
    assert app.read(linked) == linked


CHANGED_POINTERS: dict[str, dict[str, Any]] = {
    "a tombstone": {"ended": True, "expiresAt": 4_000_000_000},
    "another customer's, and ended": {"customerId": "c-other", "ended": True},
    "another customer's": {"customerId": "c-other"},
    "reserved": {"customerId": "c-lost", "reserved": True},
    "discarded": {"discarded": {"name": "By hand", "adopter": "0"}, "expiresAt": 4_000_000_000},
}


@pytest.mark.parametrize("pointer", CHANGED_POINTERS.values(), ids=CHANGED_POINTERS)
def test_a_pointer_that_has_changed_is_not_overwritten(app: App, restored_table: str, pointer: dict[str, Any]) -> None:
    """GIVEN a company that was deleted, or got another owner, after the backup THEN its former customer and the
    connections of that customer are not restored.
    """
    linked = app.linked(app.customer("c-lost")["customerId"])
    back_up(app, restored_table)
    lose(app, *partitions(linked))
    changed = {**key_of_pointer(linked), "companyId": linked["companyId"], **pointer}
    live(app).write(put(changed))
    counts = Restoration(app.stack.table_name, restored_table).run()
    assert not {"COMPANY", "CUSTOMER", "CONNECTION"} & counts.keys()
    assert app.items(f"CUSTOMER#{linked['customerId']}") == []
    assert [item for item in app.items(f"COMPANY#{linked['companyId']}") if item["sk"] == "COMPANY"] == [changed]


def key_of_pointer(linked: dict[str, Any]) -> dict[str, str]:
    return {"pk": f"COMPANY#{linked['companyId']}", "sk": "COMPANY"}


def test_a_customer_that_was_created_again_during_the_loss_keeps_its_company(app: App, restored_table: str) -> None:
    """GIVEN an app that created its customer again before the restore THEN the older company is not restored."""
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored_table)
    lose(app, *partitions(linked))
    again = app.customer(linked["customerId"])
    restore(app, restored_table)
    assert app.get(f"/customers/{linked['customerId']}").json()["companyId"] == again["companyId"]
    assert app.items(f"COMPANY#{linked['companyId']}") == []


def test_items_that_appear_after_the_table_was_read_stay(
    app: App, restored_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN reads that return no item, and every customer as marked THEN the conditions of the writes prevent any
    change of the table.
    """

    class Outdated(Table):
        def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
            return {key: {"state": "restoring"} for key in keys if key[1] == "CUSTOMER"}

    linked = app.linked(app.customer()["customerId"])
    deleted = app.linked(app.customer()["customerId"])
    back_up(app, restored_table)
    app.http.patch(f"/customers/{linked['customerId']}", json={"name": "Bank of Mary"})
    app.http.delete(f"/customers/{deleted['customerId']}")
    app.codat.wait_idle()
    before = app.items()
    monkeypatch.setattr("cli.restore.Table", Outdated)
    assert Restoration(app.stack.table_name, restored_table).run() == {}
    assert app.items() == before


def test_outdated_items_are_not_restored(app: App, restored_table: str) -> None:
    """GIVEN a backup with leases, invitations, a tombstone, an expired entry and an unfinished customer THEN these are
    not restored, but a quarantined webhook and an API key's fingerprint are.
    """
    linked = app.linked(app.customer()["customerId"])
    pk, expired = f"COMPANY#{linked['companyId']}", int(time()) - 60
    backup = Table(app.stack.dynamodb, restored_table)
    before = contents(app)
    lease = {"state": "creating", "leaseOwner": "o", "leaseUntil": 0}
    outdated: list[dict[str, Any]] = [
        {"pk": "CUSTOMER#c-new", "sk": "CUSTOMER", "customerId": "c-new", **lease},
        {"pk": "CUSTOMER#c-half", "sk": "CUSTOMER", "customerId": "c-half", "companyId": "0", "state": "restoring"},
        {"pk": pk, "sk": "CREATING#gbol", **lease, "expiresAt": 4_000_000_000},
        {"pk": pk, "sk": "INVITATION#1", "tokenHash": "0", "expiresAt": 4_000_000_000},
        {"pk": pk, "sk": "INVITATIONS", "version": 1},
        {"pk": "INVITATION#0", "sk": "INVITATION", "tokenHash": "0", "expiresAt": 4_000_000_000},
        {"pk": pk, "sk": "CONNECTION#0", "version": 1, "tombstone": True, "expiresAt": 4_000_000_000},
        {"pk": pk, "sk": "EVENT#0#0#0", "expiresAt": expired},
        {"pk": "COMPANY#reserved", "sk": "COMPANY", "customerId": "c-new", "reserved": True},
        {"pk": "COMPANY#ended", "sk": "COMPANY", "customerId": "c-new", "ended": True},
    ]
    present: list[dict[str, Any]] = [
        {"pk": "UNREADABLE#2026-11-22", "sk": "msg_0", "body": b"{}", "expiresAt": 4_000_000_000},
        {"pk": "APIKEYS", "sk": "KEY#0", "proof": "first"},
    ]
    for item in (*outdated, *present):
        backup.write(put(item))
    counts = Restoration(app.stack.table_name, restored_table).run()
    assert counts == {"UNREADABLE": 1, "APIKEYS": 1}
    assert contents(app) == before
    assert [live(app).get((item["pk"], item["sk"])) for item in present] == present


def test_a_deletion_that_was_in_progress_is_finished(app: App, restored_table: str) -> None:
    """GIVEN a lost customer whose deletion was interrupted before the backup, with a lease that has not ended THEN the
    next reconcile deletes its company.
    """
    linked = app.linked(app.customer()["customerId"])
    fault = app.codat.faults.add(Fault(kind="status", status=503, method="DELETE"))
    assert app.http.delete(f"/customers/{linked['customerId']}").status_code == 502
    app.codat.faults.remove(fault)
    [item] = app.items(f"CUSTOMER#{linked['customerId']}")
    live(app).write(put({**item, "leaseUntil": 4_000_000_000_000}))
    back_up(app, restored_table)
    lose(app, *partitions(linked))
    restore(app, restored_table)
    assert_is_being_deleted(app, linked)
    assert_reconcile_deletes(app, linked)


def test_a_deletion_that_lost_its_customer_is_finished(app: App, restored_table: str) -> None:
    """GIVEN a customer that was lost after its company was deleted and its pointer was ended THEN the next reconcile
    deletes its other items.
    """
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored_table)
    lose(app, f"CUSTOMER#{linked['customerId']}")
    close(app, linked)
    assert Restoration(app.stack.table_name, restored_table).run() == {"CUSTOMER": 1}
    assert_is_being_deleted(app, linked)
    assert_reconcile_deletes(app, linked)


def test_a_company_that_is_deleted_during_the_restore_stays_deleted(
    app: App, restored_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a deletion that began before the loss, ends the pointer during the restore, and crashes THEN the next
    reconcile deletes the other items.
    """
    linked = app.linked(app.customer()["customerId"])
    back_up(app, restored_table)
    lose(app, *partitions(linked))
    fill = Restoration._fill

    def close_and_fill(restoration: Restoration, items: Any, *, now: int) -> list[str]:
        close(app, linked)
        return fill(restoration, items, now=now)

    monkeypatch.setattr(Restoration, "_fill", close_and_fill)
    restore(app, restored_table)
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


def test_with_a_stack_the_reconcile_is_started(app: App, restored_table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a stack THEN its function is invoked, and adopts the companies that were created after the backup."""
    back_up(app, restored_table)
    invoked: list[tuple[str, Any]] = []
    outputs = {"TableName": app.stack.table_name}
    monkeypatch.setattr("cli.deployment.Deployment._output", lambda _, name: outputs[name])
    monkeypatch.setattr("cli.restore._invoke", lambda name, payload: invoked.append((name, payload)))
    assert main(["restore"], {"STACK": "codat-customers", "FROM": restored_table}) == 0
    assert invoked == [("codat-customers-plan-reconcile", {"adoptOurs": True})]


def test_the_stacks_table_is_not_restored_from_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GIVEN a backup's name that is the name of the stack's table THEN nothing is read or written."""
    monkeypatch.setattr("cli.deployment.Deployment._output", lambda _, _name: "table-1")
    assert main(["restore"], {"STACK": "codat-customers", "FROM": "table-1"}) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "FROM is the table itself" in line


@pytest.mark.parametrize("missing", ["TABLE_NAME", "FROM"])
def test_a_missing_table_is_reported_in_one_line(
    app: App, restored_table: str, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    """GIVEN a table that does not exist THEN the error names the cause and advises to repeat the command."""
    app.customer()
    back_up(app, restored_table)
    capsys.readouterr()
    environment = {"TABLE_NAME": app.stack.table_name, "FROM": restored_table, missing: "no-such-table"}
    assert main(["restore"], environment) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "ResourceNotFoundException" in line
    assert "Repeat the command" in line
