"""Restore a table under a new name, ready to be used by the stack.

DynamoDB restores items and indexes only: stream, TTL, point-in-time recovery and deletion protection are set here.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/pointintimerecovery_restores.html

Each version is raised above every published one. Otherwise the app would ignore events about the restored items.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from time import sleep
from typing import TYPE_CHECKING, Any

from cli.errors import OperatorError
from cli.restore import response_time
from shared.runtime import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

POLL_SECONDS = 20.0
TTL_ATTRIBUTE = "expiresAt"
CONCURRENCY = 16
"""Threads that raise versions."""


def restore_table(client: DynamoDBClient, stack: str, source: str, *, to: str, time: datetime | None) -> None:
    """Restore the table `source` to a new table, and print how the stack uses it.

    `to` names the new table. If it exists already, an earlier run was interrupted: only what is missing is done.
    `time` selects an earlier state than the newest.
    """
    restored = to or f"{stack or source}-restored-{clock.now():%Y%m%dT%H%M}"
    if restored == source:
        raise OperatorError(f"{source} is the table to restore. Give TO another name, or leave it out.")
    table = _describe(client, restored)
    if table is None:
        _start(client, source, restored, time)
    elif not to:
        raise OperatorError(f"The table {restored} exists. If its restore was interrupted, give TO={restored}.")
    else:
        _continue(source, table)
    _wait_until_active(client, restored)
    # Before the stream, which would contain every item otherwise.
    _raise_versions(client, restored)
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
    print(f"Restored {source} to {restored}, with stream, TTL and point-in-time recovery.")
    print("Add these parameters to the stack's parameter_overrides in samconfig.toml, and deploy:")
    print(f'  ExistingTableArn="{table["TableArn"]}" ExistingTableStreamArn="{table["LatestStreamArn"]}"')


def _start(client: DynamoDBClient, source: str, restored: str, time: datetime | None) -> None:
    """Restore from point-in-time recovery if the table exists, else from its newest backup.

    When a table with point-in-time recovery is deleted, DynamoDB makes a backup and keeps it for 35 days.
    """
    if _describe(client, source) is not None:
        moment: Any = {"UseLatestRestorableTime": True} if time is None else {"RestoreDateTime": time}
        client.restore_table_to_point_in_time(SourceTableName=source, TargetTableName=restored, **moment)
        state = "point-in-time recovery"
    else:
        backup = _newest_backup(client, source, time)
        client.restore_table_from_backup(TargetTableName=restored, BackupArn=backup["BackupArn"])
        state = f"the backup of {_text(backup['BackupCreationDateTime'])}"
    print(f"Restoring {source} to {restored} from {state}. This takes up to an hour.")
    print(f"If this command is interrupted, repeat it with TO={restored}", flush=True)


def _newest_backup(client: DynamoDBClient, source: str, time: datetime | None) -> Mapping[str, Any]:
    """Return the newest backup that was made before `time`."""
    pages = client.get_paginator("list_backups").paginate(TableName=source, BackupType="ALL")
    backups = [
        backup
        for page in pages
        for backup in page["BackupSummaries"]
        if backup["BackupStatus"] == "AVAILABLE" and (time is None or backup["BackupCreationDateTime"] <= time)
    ]
    if not backups:
        before = f" from before {_text(time)}" if time else ""
        raise OperatorError(
            f"There is neither a table {source} nor a backup of it{before}. Check the region and the stack."
        )
    return max(backups, key=lambda backup: backup["BackupCreationDateTime"])


def _continue(source: str, table: Mapping[str, Any]) -> None:
    """Raise OperatorError if the existing table was not restored from `source`."""
    summary = table.get("RestoreSummary", {})
    if summary.get("SourceTableArn", "").rpartition("/")[2] != source:
        raise OperatorError(f"The table {table['TableName']} exists, and is no restore of {source}. Give another TO.")
    state = _text(summary["RestoreDateTime"])
    print(f"Continuing the restore to {table['TableName']}, with the state of {state}.", flush=True)


def _raise_versions(client: DynamoDBClient, restored: str) -> None:
    """Set every version to the current millisecond, in DynamoDB's clock, unless it is higher."""
    pages = client.get_paginator("scan").paginate(
        TableName=restored,
        FilterExpression="attribute_exists(version)",
        ProjectionExpression="pk, sk",
        ConsistentRead=True,
    )
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        for page in pages:
            version = str(int(response_time(page) * 1000))
            list(pool.map(partial(_raise_version, client, restored, version), page["Items"]))


def _raise_version(client: DynamoDBClient, restored: str, version: str, key: Mapping[str, Any]) -> None:
    try:
        client.update_item(
            TableName=restored,
            Key=key,
            UpdateExpression="SET version = :version",
            ConditionExpression="version < :version",
            ExpressionAttributeValues={":version": {"N": version}},
        )
    except client.exceptions.ConditionalCheckFailedException:
        return  # an earlier run raised it, or the item was deleted meanwhile


def _wait_until_active(client: DynamoDBClient, name: str) -> None:
    while (_describe(client, name) or {}).get("TableStatus") != "ACTIVE":
        sleep(POLL_SECONDS)


def _describe(client: DynamoDBClient, name: str) -> dict[str, Any] | None:
    try:
        return dict(client.describe_table(TableName=name)["Table"])
    except client.exceptions.ResourceNotFoundException:
        return None


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")
