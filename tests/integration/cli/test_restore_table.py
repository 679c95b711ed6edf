"""`make restore-table` restores a table under a new name, with everything that the stack needs of it."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from cli import restore_table
from cli.__main__ import main
from local.template import Template
from tests.conftest import App


@pytest.fixture
def lost(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Create a table like the stack's with one item, and return its name."""
    monkeypatch.setattr(restore_table, "POLL_SECONDS", 0.01)
    name = f"lost-{uuid4()}"
    client = app.stack.dynamodb
    client.create_table(**{**Template.load().table().definition, "TableName": name})
    client.put_item(TableName=name, Item={"pk": {"S": "CUSTOMER#acme"}, "sk": {"S": "CUSTOMER"}})
    yield name
    for table in client.list_tables()["TableNames"]:
        if table.startswith(name):
            client.update_table(TableName=table, DeletionProtectionEnabled=False)
            client.delete_table(TableName=table)


def restore(lost: str) -> int:
    return main(["restore-table"], {"TABLE_NAME": lost, "TO": f"{lost}-restored"})


def assert_usable(app: App, lost: str, output: str) -> None:
    """The restored table has the items, the indexes and all that DynamoDB doesn't restore."""
    client, name = app.stack.dynamodb, f"{lost}-restored"
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


def test_an_interrupted_restore_is_completed(app: App, lost: str, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN a restored table without stream and TTL THEN a repeated command adds them and restores nothing again."""
    client = app.stack.dynamodb
    backup = client.create_backup(TableName=lost, BackupName="backup")["BackupDetails"]["BackupArn"]
    client.restore_table_from_backup(TargetTableName=f"{lost}-restored", BackupArn=backup)

    assert restore(lost) == restore(lost) == 0
    output = capsys.readouterr().out
    assert "Restoring" not in output
    assert_usable(app, lost, output)


@pytest.mark.usefixtures("app")
def test_a_table_without_backup_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert restore("never-existed") == 1
    assert capsys.readouterr().err == (
        "There is neither a table never-existed nor a backup of it. Check the region and the stack.\n"
    )
