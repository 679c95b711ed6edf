"""`make restore-table` restores a table under a new name, with everything that the stack needs of it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from botocore.client import BaseClient

from cli import restore_table
from cli.__main__ import main
from local.template import Template
from shared.runtime import clock
from tests.conftest import App


@pytest.fixture
def lost(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Create a table like the stack's with one item, and return its name."""
    monkeypatch.setattr(restore_table, "POLL_SECONDS", 0.01)
    name = f"lost-{uuid4()}"
    client = app.stack.dynamodb
    client.create_table(**{**Template.load().table(), "TableName": name})
    client.put_item(TableName=name, Item={"pk": {"S": "CUSTOMER#acme"}, "sk": {"S": "CUSTOMER"}})
    yield name
    for table in client.list_tables()["TableNames"]:
        if table.startswith(name):
            client.update_table(TableName=table, DeletionProtectionEnabled=False)
            client.delete_table(TableName=table)


def restore(lost: str, **variables: str) -> int:
    return main(["restore-table"], {"TABLE_NAME": lost, **variables})


def restored_tables(app: App, lost: str) -> list[str]:
    return [name for name in app.stack.dynamodb.list_tables()["TableNames"] if name.startswith(f"{lost}-restored")]


def assert_usable(app: App, lost: str, output: str) -> None:
    """The restored table has the items, the indexes and all that DynamoDB doesn't restore."""
    client = app.stack.dynamodb
    [name] = restored_tables(app, lost)
    assert re.fullmatch(rf"{lost}-restored-\d{{8}}T\d{{4}}", name)
    table = client.describe_table(TableName=name)["Table"]
    assert client.get_item(TableName=name, Key={"pk": {"S": "CUSTOMER#acme"}, "sk": {"S": "CUSTOMER"}})["Item"]
    assert {index["IndexName"] for index in table["GlobalSecondaryIndexes"]} == {
        "byAttention",
        "byCustomer",
        "byStatus",
    }
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["DeletionProtectionEnabled"] is True
    time_to_live = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert time_to_live == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiresAt"}
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    parameters = f'ExistingTableArn="{table["TableArn"]}" ExistingTableStreamArn="{table["LatestStreamArn"]}"'
    assert parameters in output


def test_an_existing_table_is_restored_from_point_in_time_recovery(
    app: App, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app.stack.dynamodb.update_continuous_backups(
        TableName=lost, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    assert restore(lost) == 0
    assert_usable(app, lost, capsys.readouterr().out)


def test_a_deleted_table_is_restored_from_its_newest_backup(
    app: App, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """GIVEN an empty older backup THEN the items are those of the newer one."""
    client = app.stack.dynamodb
    key = {"pk": {"S": "CUSTOMER#acme"}, "sk": {"S": "CUSTOMER"}}
    client.delete_item(TableName=lost, Key=key)
    client.create_backup(TableName=lost, BackupName="older")
    client.put_item(TableName=lost, Item=key)
    client.create_backup(TableName=lost, BackupName="newer")
    client.delete_table(TableName=lost)

    assert restore(lost) == 0
    assert_usable(app, lost, capsys.readouterr().out)


def test_an_interrupted_restore_is_completed(
    app: App, lost: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a restored table without stream and TTL THEN the command that was printed adds them, and restores nothing
    again.
    """
    app.stack.dynamodb.create_backup(TableName=lost, BackupName="backup")
    app.stack.dynamodb.delete_table(TableName=lost)
    with monkeypatch.context() as patch:
        patch.setattr(restore_table, "_wait_until_active", interrupt)
        assert restore(lost) == 1
    [to] = re.findall(r"repeat it with TO=(\S+)", capsys.readouterr().out)
    assert restore(lost, TO=to) == restore(lost, TO=to) == 0
    output = capsys.readouterr().out
    assert "Restoring" not in output
    assert f"Continuing the restore to {to}, with the state of 20" in output
    assert_usable(app, lost, output)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_older_restore_is_not_taken_for_the_new_one(
    app: App, lost: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a restore of last week THEN another has another name. GIVEN one of this minute THEN it has to be named."""
    app.stack.dynamodb.create_backup(TableName=lost, BackupName="backup")
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now - timedelta(days=7))
    assert restore(lost) == 0
    monkeypatch.setattr(clock, "now", lambda: now)
    app.stack.dynamodb.delete_table(TableName=lost)
    assert restore(lost) == 0
    assert len(restored_tables(app, lost)) == 2
    capsys.readouterr()
    assert restore(lost) == 1
    assert f"exists. If its restore was interrupted, give TO={lost}-restored-" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["itself", "another"])
def test_only_a_restore_of_the_table_is_continued(
    app: App, lost: str, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """GIVEN the live table, or a table that was not restored from it THEN nothing is changed."""
    other = lost if kind == "itself" else f"{lost}-another"
    if other != lost:
        app.stack.dynamodb.create_table(**{**Template.load().table(), "TableName": other})
    before = app.stack.dynamodb.describe_table(TableName=other)["Table"]
    assert restore(lost, TO=other) == 1
    assert "another" in capsys.readouterr().err
    assert app.stack.dynamodb.describe_table(TableName=other)["Table"] == before


def test_an_earlier_state_is_restored_on_request(
    app: App, lost: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a table THEN DynamoDB gets the time. (moto keeps no history, so the test reads the request.)"""
    app.stack.dynamodb.update_continuous_backups(
        TableName=lost, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    requests: list[Any] = []
    real = BaseClient._make_api_call  # type: ignore[attr-defined]

    def recording(client: BaseClient, operation: str, params: Any) -> Any:
        requests.extend([params] if operation == "RestoreTableToPointInTime" else [])
        return real(client, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", recording)
    assert restore(lost, TIME="2026-11-22T09:00:00Z") == 0
    [request] = requests
    assert request["RestoreDateTime"] == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert "UseLatestRestorableTime" not in request
    assert_usable(app, lost, capsys.readouterr().out)


def test_a_deleted_table_is_restored_from_the_newest_backup_before_the_time(
    app: App, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app.stack.dynamodb.create_backup(TableName=lost, BackupName="backup")
    app.stack.dynamodb.delete_table(TableName=lost)
    assert restore(lost, TIME="2020-01-01T00:00:00") == 1
    assert "nor a backup of it from before 2020-01-01T00:00:00+00:00." in capsys.readouterr().err
    assert restore(lost, TIME=(clock.now() + timedelta(minutes=1)).isoformat()) == 0


def test_the_app_accepts_events_about_restored_items(app: App, lost: str) -> None:
    """GIVEN versions of the backup THEN they are raised above all that were published since, also by a repeated run."""
    client = app.stack.dynamodb
    old, ahead = "1700000000000", "9700000000000"
    for customer, version in (("old", old), ("ahead", ahead)):
        key = {"pk": {"S": f"CUSTOMER#{customer}"}, "sk": {"S": "CUSTOMER"}}
        client.put_item(TableName=lost, Item={**key, "version": {"N": version}})
    client.create_backup(TableName=lost, BackupName="backup")
    client.delete_table(TableName=lost)
    before = int(clock.now().timestamp()) * 1000
    assert restore(lost) == 0
    [name] = restored_tables(app, lost)
    items = client.scan(TableName=name)["Items"]
    versions = {item["pk"]["S"]: int(item.get("version", {}).get("N", 0)) for item in items}
    assert before <= versions.pop("CUSTOMER#old") <= before + 60_000
    assert versions == {"CUSTOMER#ahead": int(ahead), "CUSTOMER#acme": 0}


def test_no_invitation_opens_again(app: App, lost: str) -> None:
    """GIVEN an open invitation in a state before its revocation THEN it is revoked in the restored table."""
    app.customer("acme")
    app.customer("bloom")
    app.get("/platforms")
    urls = [app.post(f"/customers/{customer}/invitations", {}).json()["url"] for customer in ("acme", "bloom")]
    client = app.stack.dynamodb
    fill(app, lost)
    client.create_backup(TableName=lost, BackupName="backup")
    client.delete_table(TableName=lost)
    assert restore(lost) == 0
    [name] = restored_tables(app, lost)
    assert len(invitations_in(app, name)) == 4
    attach(app, name)
    for url in urls:
        response = app.http.get(url)
        assert response.status_code == 410
        assert "This invitation was withdrawn" in response.text
    assert app.get("/customers/acme/invitations").json() == {"invitations": []}
    assert app.post("/customers/acme/invitations", {}).status_code == 201


def test_a_repeated_run_leaves_the_items_of_a_stack_that_uses_the_table(app: App, lost: str) -> None:
    """GIVEN a restored table with a newer invitation, and versions THEN the repeated command changes none of them."""
    app.stack.dynamodb.create_backup(TableName=lost, BackupName="backup")
    app.stack.dynamodb.delete_table(TableName=lost)
    assert restore(lost) == 0
    [name] = restored_tables(app, lost)
    app.customer("acme")
    app.post("/customers/acme/invitations", {})
    fill(app, name)
    before = app.stack.dynamodb.scan(TableName=name)["Items"]
    assert restore(lost, TO=name) == 0
    assert app.stack.dynamodb.scan(TableName=name)["Items"] == before


def fill(app: App, table: str) -> None:
    """Copy the items of the stack's table."""
    client = app.stack.dynamodb
    for item in client.scan(TableName=app.stack.table_name)["Items"]:
        client.put_item(TableName=table, Item=item)


def invitations_in(app: App, table: str) -> list[dict[str, Any]]:
    return [item for item in app.stack.dynamodb.scan(TableName=table)["Items"] if "tokenHash" in item]


def attach(app: App, table: str) -> None:
    """Replace the items of the stack's table by those of the restored one."""
    client = app.stack.dynamodb
    for item in client.scan(TableName=app.stack.table_name)["Items"]:
        client.delete_item(TableName=app.stack.table_name, Key={"pk": item["pk"], "sk": item["sk"]})
    for item in client.scan(TableName=table)["Items"]:
        client.put_item(TableName=app.stack.table_name, Item=item)


@pytest.mark.parametrize("status", ["INACCESSIBLE_ENCRYPTION_CREDENTIALS", "DELETING", "ARCHIVED", None])
def test_a_table_that_can_not_become_active_ends_the_wait(
    app: App, lost: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, status: str | None
) -> None:
    """GIVEN a table that DynamoDB can't restore, or that is deleted meanwhile (None) THEN the command says so."""
    app.stack.dynamodb.create_backup(TableName=lost, BackupName="backup")
    app.stack.dynamodb.delete_table(TableName=lost)
    monkeypatch.setattr(restore_table, "MAX_START", 0.05)
    with described(monkeypatch, lost, ["CREATING", status]):
        assert restore(lost) == 1
    error = capsys.readouterr().err
    assert f"is {status}" in error if status else "doesn't exist" in error


def test_a_table_may_appear_late(app: App, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN that DynamoDB doesn't show the table at first, and then prepares it THEN the command waits."""
    app.stack.dynamodb.create_backup(TableName=lost, BackupName="backup")
    app.stack.dynamodb.delete_table(TableName=lost)
    with described(monkeypatch, lost, [None, "CREATING", "UPDATING", "ACTIVE"]):
        assert restore(lost) == 0


@contextmanager
def described(monkeypatch: pytest.MonkeyPatch, lost: str, statuses: Sequence[str | None]) -> Iterator[None]:
    """Give DescribeTable these statuses of the restored table after its restore began, and the last one from then on.

    None means that the table doesn't exist. (moto's tables are active at once.)
    """
    left, has_begun = list(statuses), False
    real = BaseClient._make_api_call  # type: ignore[attr-defined]

    def answering(client: BaseClient, operation: str, params: Any) -> Any:
        nonlocal has_begun
        has_begun = has_begun or operation == "RestoreTableFromBackup"
        if operation != "DescribeTable" or not has_begun or not params["TableName"].startswith(f"{lost}-restored"):
            return real(client, operation, params)
        status = left.pop(0) if len(left) > 1 else left[0]
        if status is None:
            return real(client, operation, {"TableName": f"{lost}-missing"})
        answer = real(client, operation, params)
        return {**answer, "Table": {**answer["Table"], "TableStatus": status}}

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", answering)
        yield


@pytest.mark.usefixtures("app")
def test_a_table_without_backup_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert restore("never-existed") == 1
    assert capsys.readouterr().err == (
        "There is neither a table never-existed nor a backup of it. Check the region and the stack.\n"
    )
