"""`make restore TABLE_NAME=… FROM=…`: brings back what a table has lost, from one that was restored beside it.

Runs with the operator's own AWS credentials. Only what is missing is put: whatever is there has changed since, or is
the same. Interrupted, it is run again.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping

USAGE_ERROR = 2
_AT_ONCE = 16


def main(environment: Mapping[str, str] = os.environ) -> int:
    """The exit status; what went wrong is one line on stderr."""
    table, source = environment.get("TABLE_NAME"), environment.get("FROM")
    if not table or not source or table == source:
        print("Say which tables: make restore TABLE_NAME=… (the stack's output TableName) FROM=…", file=sys.stderr)
        return USAGE_ERROR
    try:
        found = _restore(table, source)
    except (ClientError, BotoCoreError) as error:
        print(" ".join(f"AWS: {error} What is missing still is put when this is repeated.".split()), file=sys.stderr)
        return 1
    for kind, number in sorted(found.items()):
        print(f"{number:>9}  {kind}")
    print(f"{found.total()} items were missing, and are back. Now run a reconcile.")
    return 0


def _restore(table: str, source: str) -> Counter[str]:
    config = Config(max_pool_connections=_AT_ONCE, retries={"total_max_attempts": 10, "mode": "standard"})
    client: Any = boto3.client("dynamodb", config=config)

    def put(item: dict[str, Any]) -> str | None:
        try:
            client.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        except client.exceptions.ConditionalCheckFailedException:
            return None
        kind: str = item["sk"]["S"].partition("#")[0]
        return kind if item["pk"]["S"].startswith(("CUSTOMER#", "COMPANY#")) else "UNREADABLE"

    found: Counter[str] = Counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for page in client.get_paginator("scan").paginate(TableName=source, ConsistentRead=True):
            found.update(kind for kind in pool.map(put, page["Items"]) if kind)
    return found


if __name__ == "__main__":
    sys.exit(main())
