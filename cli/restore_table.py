"""Restore a lost table under a new name, ready to be used by the stack.

DynamoDB restores items and indexes only: stream, TTL, point-in-time recovery and deletion protection are set here.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/pointintimerecovery_restores.html
"""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Any

from cli.errors import OperatorError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

POLL_SECONDS = 20.0
TTL_ATTRIBUTE = "expiresAt"


def restore_table(client: DynamoDBClient, lost: str, restored: str) -> None:
    """Restore the newest state of the table `lost` to the table `restored`, and print how the stack uses it.

    If `restored` exists, an earlier run was interrupted: only what is missing is done.
    """
    if _describe(client, restored) is None:
        _start(client, lost, restored)
    _wait_until_active(client, restored)
    table = _describe(client, restored) or {}
    if not table.get("StreamSpecification", {}).get("StreamEnabled"):
        stream: Any = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        client.update_table(TableName=restored, StreamSpecification=stream)
        _wait_until_active(client, restored)
    time_to_live = client.describe_time_to_live(TableName=restored)["TimeToLiveDescription"]
    if time_to_live.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
        setting: Any = {"Enabled": True, "AttributeName": TTL_ATTRIBUTE}
        client.update_time_to_live(TableName=restored, TimeToLiveSpecification=setting)
    client.update_continuous_backups(
        TableName=restored, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    client.update_table(TableName=restored, DeletionProtectionEnabled=True)
    _wait_until_active(client, restored)
    table = _describe(client, restored) or {}
    print(f"Restored {table['ItemCount']} items to {restored}, with stream, TTL and point-in-time recovery.")
    print("Add these parameters to the stack's parameter_overrides in samconfig.toml, and deploy:")
    print(f'  ExistingTableArn="{table["TableArn"]}" ExistingTableStreamArn="{table["LatestStreamArn"]}"')


def _start(client: DynamoDBClient, lost: str, restored: str) -> None:
    """Restore from point-in-time recovery if the table exists, else from its newest backup.

    When a table with point-in-time recovery is deleted, DynamoDB makes a backup and keeps it for 35 days.
    """
    if _describe(client, lost) is not None:
        client.restore_table_to_point_in_time(
            SourceTableName=lost, TargetTableName=restored, UseLatestRestorableTime=True
        )
        print(f"Restoring {lost} to {restored} from point-in-time recovery. This takes up to an hour …")
        return
    listed = client.list_backups(TableName=lost, BackupType="ALL")["BackupSummaries"]
    backups = [backup for backup in listed if backup["BackupStatus"] == "AVAILABLE"]
    if not backups:
        raise OperatorError(f"There is neither a table {lost} nor a backup of it. Check the region and the stack.")
    newest = max(backups, key=lambda backup: backup["BackupCreationDateTime"])
    client.restore_table_from_backup(TargetTableName=restored, BackupArn=newest["BackupArn"])
    made = newest["BackupCreationDateTime"].isoformat(timespec="seconds")
    print(f"Restoring {lost} to {restored} from the backup of {made}. This takes up to an hour …")


def _wait_until_active(client: DynamoDBClient, name: str) -> None:
    while (_describe(client, name) or {}).get("TableStatus") != "ACTIVE":
        sleep(POLL_SECONDS)


def _describe(client: DynamoDBClient, name: str) -> dict[str, Any] | None:
    try:
        return dict(client.describe_table(TableName=name)["Table"])
    except client.exceptions.ResourceNotFoundException:
        return None
