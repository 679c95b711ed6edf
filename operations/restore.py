"""`make restore STACK=… FROM=…`: bring back what a table has lost, from one that was restored beside it.

Runs with the operator's own AWS credentials; TABLE_NAME=… names the table if there is no stack. Only what is missing is
put: whatever is there has changed since, or is the same. Interrupted, it is run again.

Pointers come first, marked as `restoring`: until the mark is removed, webhooks about these companies are answered 503,
and Codat sends them again. Customers come last, each together with its pointer, so that neither a webhook nor a
reconcile works on half of one. Every version is raised above all that may have been published before the loss. At the
end a reconcile compares everything with Codat, and adopts the companies that were created after the backup.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

USAGE_ERROR = 2
CONCURRENCY = 16

Item = dict[str, Any]

_ABSENT = "attribute_not_exists(pk)"


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Return the exit status; an error is one line on stderr."""
    stack, source = environment.get("STACK"), environment.get("FROM")
    try:
        table = environment.get("TABLE_NAME") or (_resource(stack, "Table") if stack else None)
        if not table or not source or table == source:
            print("Say which tables: make restore STACK=codat-customers FROM=…", file=sys.stderr)
            return USAGE_ERROR
        for kind, number in sorted((restored := Restoration(table, source).run()).items()):
            print(f"{number:>9}  {kind}")
        print(f"{restored.total()} items were missing, and are restored.")
        if stack:
            _invoke(_resource(stack, "PlanReconcileFunction"), {"adoptOurs": True})
            print("A reconcile was started. It also adopts the companies that were created after the backup.")
        else:
            print('Now invoke the function plan_reconcile with {"adoptOurs": true}.')
    except (ClientError, BotoCoreError) as error:
        print(" ".join(f"AWS: {error} Repeat the command: it continues where it was.".split()), file=sys.stderr)
        return 1
    return 0


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Which items a step works on: a filter of DynamoDB's."""

    expression: str
    values: dict[str, Any]


_KIND_VALUES = {":company": {"S": "COMPANY"}, ":customer": {"S": "CUSTOMER"}}
POINTERS = _Kinds("sk = :company", {":company": _KIND_VALUES[":company"]})
CUSTOMERS = _Kinds("sk = :customer", {":customer": _KIND_VALUES[":customer"]})
OTHERS = _Kinds("NOT sk IN (:company, :customer)", _KIND_VALUES)


class Restoration:
    def __init__(self, table: str, source: str, *, now: Callable[[], float] = time.time) -> None:
        """`now` is the clock of the functions, in seconds since 1970."""
        config = Config(max_pool_connections=CONCURRENCY, retries={"total_max_attempts": 10, "mode": "standard"})
        self._client: Any = boto3.client("dynamodb", config=config)
        self._table = table
        self._source = source
        self._now = now

    def run(self) -> Counter[str]:
        """Return how many items of each kind were missing."""
        counts: Counter[str] = Counter()
        for kinds, restore in (
            (POINTERS, self._restore_pointer),
            (OTHERS, self._restore_item),
            (CUSTOMERS, self._restore_customer),
            (POINTERS, self._finish_pointer),
        ):
            with ThreadPoolExecutor(CONCURRENCY) as pool:
                for items in self._pages(kinds):
                    counts.update(kind for kind in pool.map(restore, items) if kind)
        return counts

    def _pages(self, kinds: _Kinds) -> Iterator[list[Item]]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._source,
            ConsistentRead=True,
            FilterExpression=kinds.expression,
            ExpressionAttributeValues=kinds.values,
        )
        return (page["Items"] for page in pages)

    def _restore_pointer(self, item: Item) -> str | None:
        mark = {"restoring": {"BOOL": True}} if _is_owned(item) else {}
        return self._put_if_missing({**item, **mark}, "COMPANY")

    def _restore_item(self, item: Item) -> str | None:
        kind = item["sk"]["S"].partition("#")[0] if item["pk"]["S"].startswith("COMPANY#") else _partition(item)
        return self._put_if_missing(self._with_raised_version(item) if kind == "CONNECTION" else item, kind)

    def _restore_customer(self, item: Item) -> str | None:
        """Put the customer together with its finished pointer, both or neither."""
        if "companyId" not in item:
            return self._put_if_missing(item, "CUSTOMER")  # still being created
        customer = {"Item": self._with_raised_version(item), "TableName": self._table, "ConditionExpression": _ABSENT}
        key = {"pk": {"S": f"COMPANY#{item['companyId']['S']}"}, "sk": {"S": "COMPANY"}}
        pointer = {
            "TableName": self._table,
            "Item": {**key, "companyId": item["companyId"], "customerId": item["customerId"]},
            # Not if the company was closed since the backup, or has another customer by now.
            "ConditionExpression": "customerId = :customer AND attribute_not_exists(ended)",
            "ExpressionAttributeValues": {":customer": item["customerId"]},
        }
        try:
            self._client.transact_write_items(TransactItems=[{"Put": customer}, {"Put": pointer}])
        except self._client.exceptions.TransactionCanceledException as error:
            if _failed_conditions(error):
                return None
            raise
        return "CUSTOMER"

    def _finish_pointer(self, item: Item) -> None:
        """Finish the pointer of a customer that was not lost; remove that of one which has another company by now."""
        if not _is_owned(item):
            return
        key = {"pk": {"S": f"CUSTOMER#{item['customerId']['S']}"}, "sk": {"S": "CUSTOMER"}}
        customer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {})
        request: Item = {
            "TableName": self._table,
            "Key": {"pk": item["pk"], "sk": item["sk"]},
            "ConditionExpression": "restoring = :yes",
            "ExpressionAttributeValues": {":yes": {"BOOL": True}},
        }
        try:
            if customer.get("companyId") == item["companyId"]:
                self._client.update_item(**request, UpdateExpression="REMOVE restoring")
            else:
                self._client.delete_item(**request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return  # finished together with its customer, or never lost

    def _with_raised_version(self, item: Item) -> Item:
        """Raise the version above all that may have been published: versions grow by less than one a millisecond."""
        version = max(int(item["version"]["N"]) + 1, int(self._now() * 1000))
        return {**item, "version": {"N": str(version)}}

    def _put_if_missing(self, item: Item, kind: str) -> str | None:
        try:
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression=_ABSENT)
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        return kind


def _is_owned(pointer: Item) -> bool:
    """Return whether a customer owns the company, and not only an adoption that is incomplete or undone."""
    return "customerId" in pointer and not {"ended", "reserved"} & pointer.keys()


def _partition(item: Item) -> str:
    return str(item["pk"]["S"].partition("#")[0])


def _failed_conditions(error: Any) -> bool:
    reasons = error.response.get("CancellationReasons") or []
    return any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons)


def _resource(stack: str, logical_id: str) -> str:
    client: Any = boto3.client("cloudformation")
    resource = client.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    return str(resource["StackResourceDetail"]["PhysicalResourceId"])


def _invoke(function: str, payload: Mapping[str, Any]) -> None:
    client: Any = boto3.client("lambda")
    client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(payload).encode())


if __name__ == "__main__":
    sys.exit(main())
