"""Restore a table under a new name, ready to be used by the stack.

DynamoDB restores items and indexes only: stream, TTL, point-in-time recovery and deletion protection are set here.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/pointintimerecovery_restores.html

Each version is raised above every published one. Otherwise the app would ignore events about the restored items. Each
invitation is revoked, because it may have been revoked since.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from time import monotonic, sleep
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
"""Threads that change items."""
MAX_START = 60.0
"""Seconds after which DynamoDB must show the table that it restores."""
_PENDING = {"CREATING", "UPDATING"}


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
    table = _wait_until_active(client, restored)
    if not table.get("StreamSpecification", {}).get("StreamEnabled"):
        # Before the stream, which would contain every item otherwise. With a stream, the stack may use the table.
        _change_items(client, restored)
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
    table = _wait_until_active(client, restored)
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
        origin = "point-in-time recovery"
    else:
        backup = _newest_backup(client, source, time)
        client.restore_table_from_backup(TargetTableName=restored, BackupArn=backup["BackupArn"])
        origin = f"the backup of {_text(backup['BackupCreationDateTime'])}"
    print(f"Restoring {source} to {restored} from {origin}. This takes up to an hour.")
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


def _change_items(client: DynamoDBClient, restored: str) -> None:
    """Revoke every invitation, and set every version to the current millisecond, in DynamoDB's clock."""
    pages = client.get_paginator("scan").paginate(
        TableName=restored,
        FilterExpression="attribute_exists(version) OR attribute_exists(tokenHash)",
        ProjectionExpression="pk, sk, tokenHash",
        ConsistentRead=True,
    )
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        for page in pages:
            version = str(int(response_time(page) * 1000))
            list(pool.map(partial(_change_item, client, restored, version), page["Items"]))


def _change_item(client: DynamoDBClient, restored: str, version: str, item: Mapping[str, Any]) -> None:
    is_invitation = "tokenHash" in item
    name, value = ("revoked", {"BOOL": True}) if is_invitation else ("version", {"N": version})
    try:
        client.update_item(
            TableName=restored,
            Key={"pk": item["pk"], "sk": item["sk"]},
            UpdateExpression="SET #name = :value",
            ConditionExpression="attribute_exists(pk)" if is_invitation else "#name < :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": value},
        )
    except client.exceptions.ConditionalCheckFailedException:
        return  # its version is higher, as after another process raised it, or the item was deleted meanwhile


def _wait_until_active(client: DynamoDBClient, name: str) -> dict[str, Any]:
    """Return the table when it is active. Raises OperatorError if it can't become active."""
    start = monotonic()
    while (table := _describe(client, name)) is None or table["TableStatus"] != "ACTIVE":
        if table is None and monotonic() - start > MAX_START:
            raise OperatorError(f"The table {name} doesn't exist. Was it deleted meanwhile?")
        if table is not None and table["TableStatus"] not in _PENDING:
            raise OperatorError(f"The table {name} is {table['TableStatus']}, so it can't be used.")
        sleep(POLL_SECONDS)
    return table


def _describe(client: DynamoDBClient, name: str) -> dict[str, Any] | None:
    try:
        return dict(client.describe_table(TableName=name)["Table"])
    except client.exceptions.ResourceNotFoundException:
        return None


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")
