"""`make restore STACK=… FROM=…`: bring back what a table has lost, from a backup that was restored beside it.

Runs with the operator's own AWS credentials; TABLE_NAME=… names the table if there is no stack. The API, webhooks and
reconciles may run meanwhile. Items that exist stay as they are. After an interruption, repeat the command.

    1. begin    a lost customer and its pointer, both marked `restoring`     -> calls and webhooks get 503
    2. fill     connections, timelines and other items, if they are missing
    3. finish   the marks are removed, customer and pointer together         -> the customer is published

Each step is one transaction a customer or an item. Its conditions decide: a customer that was deleted, or created again
with another company, stays as it is. At the end a reconcile compares everything with Codat, and adopts the companies
that were created after the backup.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import StoreUnavailable
from shared.store import keys
from shared.store.customers import ACTIVE, DELETING, RESTORING, owned_pointer
from shared.store.table import ABSENT, Condition, ConditionFailed, Table, Write, check, put, unmarshal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from shared.store.table import Item, Key

USAGE_ERROR = 2
BATCH_SIZE = 25
"""Items that a thread works on at a time. Their keys, and those of their pointers, fit into one read."""
MAX_WAIT = 60.0
"""Seconds for one operation and its retries: the command waits for DynamoDB longer than a function can."""


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
    except (ClientError, BotoCoreError, StoreUnavailable) as error:
        print(" ".join(f"AWS: {error} Repeat the command: it continues where it was.".split()), file=sys.stderr)
        return 1
    return 0


_CUSTOMERS: dict[str, Any] = {
    "FilterExpression": "sk = :customer AND #state IN (:active, :deleting)",
    "ExpressionAttributeNames": {"#state": "state"},
    "ExpressionAttributeValues": {
        ":customer": {"S": keys.CUSTOMER},
        ":active": {"S": ACTIVE},
        ":deleting": {"S": DELETING},
    },
}
_OTHERS: dict[str, Any] = {
    # Leases are outdated. Tombstones only keep late events away, and the pointer's condition does that here.
    "FilterExpression": "NOT sk IN (:customer, :company) AND NOT begins_with(sk, :lease)"
    " AND attribute_not_exists(tombstone)",
    "ExpressionAttributeValues": {
        ":customer": {"S": keys.CUSTOMER},
        ":company": {"S": keys.COMPANY},
        ":lease": {"S": keys.connection_lease("", "")[1]},
    },
}


class Restoration:
    def __init__(
        self, table: str, source: str, *, concurrency: int = 16, now: Callable[[], float] | None = None
    ) -> None:
        """`now` replaces DynamoDB's clock, in seconds since 1970. With a `concurrency` of 1 no thread is started."""
        # The table repeats its requests by itself. The scan of the backup is left to botocore.
        once = _config(max_pool_connections=concurrency, attempts=1)
        self._table = Table(boto3.client("dynamodb", config=once), table, max_wait=MAX_WAIT)
        self._scan: Any = boto3.client("dynamodb", config=_config(attempts=10)).get_paginator("scan")
        self._source = source
        self._concurrency = concurrency
        self._now = now

    def run(self) -> Counter[str]:
        """Return how many items of each kind were missing."""
        restored: Counter[str] = Counter()
        with _mapping(self._concurrency) as parallel:
            for selection, step in (
                (_CUSTOMERS, self._begin),
                (_OTHERS, self._fill),
                (_CUSTOMERS, self._finish),
            ):
                for items, now in self._pages(selection):
                    batches = [items[start : start + BATCH_SIZE] for start in range(0, len(items), BATCH_SIZE)]
                    for kinds in parallel(partial(step, now=now), batches):
                        restored.update(kinds)
        return restored

    def _pages(self, selection: Mapping[str, Any]) -> Iterator[tuple[list[Item], int]]:
        """Yield the selected items of the backup, each page with the time of its read, in milliseconds since 1970."""
        for page in self._scan.paginate(TableName=self._source, ConsistentRead=True, **selection):
            now = _date(page) if self._now is None else self._now()
            yield [unmarshal(item) for item in page["Items"]], int(now * 1000)

    def _begin(self, customers: list[Item], *, now: int) -> list[str]:
        """Put the lost customers and their pointers, marked; and the lost pointers of customers that exist."""
        live = self._table.get_many({key for customer in customers for key in _keys(customer)})
        restored = []
        for customer in customers:
            key, pointer_key = _keys(customer)
            if key not in live or live[key]["state"] == RESTORING:
                has_pointer = self._mark(customer)
                if not has_pointer and self._resume_deletion(customer, now):
                    restored.append(keys.CUSTOMER)
            else:
                has_pointer = pointer_key in live or self._restore_pointer(customer)
            if has_pointer and pointer_key not in live:
                restored.append(keys.COMPANY)
        return restored

    def _mark(self, customer: Item) -> bool:
        marked = put({**customer, "state": RESTORING}, _is_lost(customer))
        return self._write(marked, put(_pointer(customer, restoring=True), _is_free(customer)))

    def _restore_pointer(self, customer: Item) -> bool:
        key, _ = _keys(customer)
        return self._write(check(key, _is_active(customer)), put(_pointer(customer), ABSENT))

    def _fill(self, items: list[Item], *, now: int) -> list[str]:
        """Put the missing items: those of a company only if a customer owns it."""
        live = self._table.get_many((item["pk"], item["sk"]) for item in items)
        restored = []
        for item in items:
            has_expired = "expiresAt" in item and item["expiresAt"] * 1000 < now
            if (item["pk"], item["sk"]) in live or has_expired:
                continue
            partition, _, of = item["pk"].partition("#")
            if partition != keys.COMPANY:
                kind, writes = partition, [put(item, ABSENT)]
            else:
                kind = item["sk"].partition("#")[0]
                # A company can change hands: a connection is restored for the customer that it names.
                owner = owned_pointer(item["customerId"]) if "customerId" in item else _OWNED
                restorable = {**item, "version": _raised(item, now)} if "version" in item else item
                writes = [check(keys.company(of), owner), put(restorable, ABSENT)]
            if self._write(*writes):
                restored.append(kind)
        return restored

    def _finish(self, customers: list[Item], *, now: int) -> list[str]:
        """Remove the marks of customers and their pointers. A deletion that was in progress is left to reconcile."""
        live = self._table.get_many({keys.customer(customer["customerId"]) for customer in customers})
        restored = []
        for customer in customers:
            if live.get(keys.customer(customer["customerId"]), {}).get("state") != RESTORING:
                continue
            finished = put(_restored(customer, customer["state"], now), _IS_RESTORING)
            pointer = put(_pointer(customer), owned_pointer(customer["customerId"]))
            if self._write(finished, pointer) or self._resume_deletion(customer, now):
                restored.append(keys.CUSTOMER)
        return restored

    def _resume_deletion(self, customer: Item, now: int) -> bool:
        """Put the lost customer as `deleting` if its pointer has ended: then its deletion was not completed."""
        _, pointer_key = _keys(customer)
        deleting = put(_restored(customer, DELETING, now), _is_lost(customer))
        return self._write(deleting, check(pointer_key, _has_ended(customer)))

    def _write(self, *writes: Write) -> bool:
        """Perform all of the writes; False, with nothing written, if a condition does not hold."""
        try:
            self._table.write(*writes)
        except ConditionFailed:
            return False
        return True


_OWNED = Condition("attribute_exists(customerId) AND attribute_not_exists(ended) AND attribute_not_exists(reserved)")
_STATE = {"#state": "state"}
_IS_RESTORING = Condition("#state = :restoring", {":restoring": RESTORING}, _STATE)


def _is_lost(customer: Item) -> Condition:
    """Require that the customer is absent, or marked by a run that was interrupted."""
    expression = f"attribute_not_exists(pk) OR ({_IS_RESTORING.expression} AND companyId = :company)"
    return Condition(expression, {":restoring": RESTORING, ":company": customer["companyId"]}, _STATE)


def _is_active(customer: Item) -> Condition:
    values = {":active": ACTIVE, ":company": customer["companyId"]}
    return Condition("#state = :active AND companyId = :company", values, _STATE)


def _is_free(customer: Item) -> Condition:
    """Require that the pointer is absent, or the customer's own. An ended, reserved or discarded one is neither."""
    own = owned_pointer(customer["customerId"])
    return Condition(f"attribute_not_exists(pk) OR ({own.expression})", own.values)


def _has_ended(customer: Item) -> Condition:
    """Require that the company is gone and still names the customer, which a completed deletion removes."""
    return Condition("customerId = :customer AND ended = :yes", {":customer": customer["customerId"], ":yes": True})


def _keys(customer: Item) -> tuple[Key, Key]:
    """Return the keys of the customer and of its pointer."""
    return keys.customer(customer["customerId"]), keys.company(customer["companyId"])


def _pointer(customer: Item, *, restoring: bool | None = None) -> Item:
    pk, sk = keys.company(customer["companyId"])
    ids = {"companyId": customer["companyId"], "customerId": customer["customerId"]}
    return {"pk": pk, "sk": sk, **ids, "restoring": restoring}


def _restored(customer: Item, state: str, now: int) -> Item:
    """Return the customer to put. If it is `deleting`, its lease has ended, so that reconcile continues at once."""
    lease = {"leaseUntil": 0} if state == DELETING else {}
    return {**customer, **lease, "state": state, "version": _raised(customer, now)}


def _raised(item: Item, now: int) -> int:
    """Return a version above every published one.

    Versions start at the millisecond of the first write and grow by less than one a millisecond, so all that were
    published before the loss are below the present millisecond.
    """
    return max(int(item["version"]) + 1, now)


def _date(response: Mapping[str, Any]) -> float:
    """Return DynamoDB's clock at its answer, in whole seconds rounded down: the operator's clock may be wrong."""
    return parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()


@contextmanager
def _mapping(concurrency: int) -> Iterator[Callable[..., Iterable[list[str]]]]:
    """Yield a `map` that uses so many threads; with one it is the calling thread."""
    if concurrency == 1:
        yield map
    else:
        with ThreadPoolExecutor(concurrency) as pool:
            yield pool.map


def _config(*, attempts: int, max_pool_connections: int = 1) -> Config:
    retries: Any = {"total_max_attempts": attempts, "mode": "standard"}
    return Config(connect_timeout=3, read_timeout=10, retries=retries, max_pool_connections=max_pool_connections)


def _resource(stack: str, logical_id: str) -> str:
    client: Any = boto3.client("cloudformation")
    resource = client.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    return str(resource["StackResourceDetail"]["PhysicalResourceId"])


def _invoke(function: str, payload: Mapping[str, Any]) -> None:
    client: Any = boto3.client("lambda")
    client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(payload).encode())


if __name__ == "__main__":
    sys.exit(main())
