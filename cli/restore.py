"""Put back the items that a table has lost, from a backup that was restored to another table.

The API, webhooks and reconciles can run meanwhile. Existing items stay as they are. After an interruption, repeat the
command.

    1. begin    put a lost customer and its pointer, both marked `restoring`   -> calls and webhooks get 503
    2. fill     put connections, timelines and other items if they are missing
    3. finish   remove the marks of the customer and its pointer together      -> the customer is published

Each step is one transaction for each customer or item. Its conditions decide: a customer that was deleted, or created
again with another company, stays as it is. At the end a reconcile compares all customers with Codat, and adopts the
companies that were created after the backup.
"""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3

from cli.deployment import aws_config
from cli.errors import OperatorError
from shared.store import keys
from shared.store.attributes import unmarshal
from shared.store.customers import ACTIVE, DELETING, RESTORING, owned_pointer
from shared.store.table import ABSENT, Condition, Table, check, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from shared.store.attributes import Item
    from shared.store.table import Key

BATCH_SIZE = 25
"""Items that a thread works on at a time. Their keys, and those of their pointers, fit into one read."""
MAX_WAIT = 60.0
"""Seconds for one operation and its retries: the command waits for DynamoDB longer than a function can."""


def restore(stack: str, table: str, source: str) -> None:
    """Restore `table` from `source`. With a stack, start a reconcile afterwards."""
    if table == source:
        raise OperatorError("FROM is the table itself. Name the table that the backup was restored to.")
    restored = Restoration(table, source).run()
    for kind, number in sorted(restored.items()):
        print(f"{number:>9}  {kind}")
    print(f"{restored.total()} items were missing, and are restored.")
    if stack:
        _invoke(f"{stack}-plan-reconcile", {"adoptOurs": True})
        print("A reconcile was started. It also adopts the companies that were created after the backup.")
    else:
        print('Now invoke the function plan_reconcile with {"adoptOurs": true}.')


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
    # Leases are outdated, and an invitation may have been revoked since. Tombstones only keep late events away, and the
    # pointer's condition does that here.
    "FilterExpression": "NOT sk IN (:customer, :company) AND NOT begins_with(sk, :lease)"
    " AND NOT begins_with(sk, :invitation) AND attribute_not_exists(tombstone)",
    "ExpressionAttributeValues": {
        ":customer": {"S": keys.CUSTOMER},
        ":company": {"S": keys.COMPANY},
        ":lease": {"S": keys.connection_lease("", "")[1]},
        ":invitation": {"S": keys.INVITATION},
    },
}


class Restoration:
    def __init__(
        self, table: str, source: str, *, concurrency: int = 16, now: Callable[[], float] | None = None
    ) -> None:
        """`now` replaces DynamoDB's clock, in seconds since 1970. A `concurrency` of 1 starts no thread."""
        # The table retries by itself; botocore retries the scan of the backup.
        config = aws_config(max_pool_connections=concurrency, attempts=1)
        self._table = Table(boto3.client("dynamodb", config=config), table, max_wait=MAX_WAIT)
        self._scan: Any = boto3.client("dynamodb", config=aws_config(attempts=10)).get_paginator("scan")
        self._source = source
        self._concurrency = concurrency
        self._now = now

    def run(self) -> Counter[str]:
        """Return how many items of each kind were missing."""
        restored: Counter[str] = Counter()
        with _mapper(self._concurrency) as parallel:
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
            now = response_time(page) if self._now is None else self._now()
            yield [unmarshal(item) for item in page["Items"]], int(now * 1000)

    def _begin(self, customers: list[Item], *, now: int) -> list[str]:
        """Put the lost customers and their pointers, marked, and the lost pointers of customers that exist."""
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
        return self._table.try_write(marked, put(_pointer(customer, restoring=True), _is_free(customer)))

    def _restore_pointer(self, customer: Item) -> bool:
        key, _ = _keys(customer)
        return self._table.try_write(check(key, _is_active(customer)), put(_pointer(customer), ABSENT))

    def _fill(self, items: list[Item], *, now: int) -> list[str]:
        """Put the missing items. Those of a company are put only if a customer owns it."""
        live = self._table.get_many((item["pk"], item["sk"]) for item in items)
        restored = []
        for item in items:
            has_expired = "expiresAt" in item and item["expiresAt"] * 1000 < now
            if (item["pk"], item["sk"]) in live or has_expired:
                continue
            partition, _, company_id = item["pk"].partition("#")
            if partition != keys.COMPANY:
                kind, writes = partition, [put(item, ABSENT)]
            else:
                kind = item["sk"].partition("#")[0]
                # The company may have another owner now: restore a connection only for the customer that it names.
                owner = owned_pointer(item["customerId"]) if "customerId" in item else _OWNED
                restorable = {**item, "version": _next_version(item, now)} if "version" in item else item
                writes = [check(keys.company(company_id), owner), put(restorable, ABSENT)]
            if self._table.try_write(*writes):
                restored.append(kind)
        return restored

    def _finish(self, customers: list[Item], *, now: int) -> list[str]:
        """Remove the marks of customers and their pointers. Reconcile finishes a deletion that was in progress."""
        live = self._table.get_many({keys.customer(customer["customerId"]) for customer in customers})
        restored = []
        for customer in customers:
            if live.get(keys.customer(customer["customerId"]), {}).get("state") != RESTORING:
                continue
            finished = put(_restored(customer, customer["state"], now), _IS_RESTORING)
            pointer = put(_pointer(customer), owned_pointer(customer["customerId"]))
            if self._table.try_write(finished, pointer) or self._resume_deletion(customer, now):
                restored.append(keys.CUSTOMER)
        return restored

    def _resume_deletion(self, customer: Item, now: int) -> bool:
        """Put the lost customer as `deleting` if its pointer has ended, because its deletion is incomplete."""
        _, pointer_key = _keys(customer)
        deleting = put(_restored(customer, DELETING, now), _is_lost(customer))
        return self._table.try_write(deleting, check(pointer_key, _has_ended(customer)))


_OWNED = Condition("attribute_exists(customerId) AND attribute_not_exists(ended) AND attribute_not_exists(reserved)")
_STATE = {"#state": "state"}
_IS_RESTORING = Condition("#state = :restoring", {":restoring": RESTORING}, _STATE)


def _is_lost(customer: Item) -> Condition:
    """Require that the customer is absent, or marked by an interrupted run."""
    expression = f"attribute_not_exists(pk) OR ({_IS_RESTORING.expression} AND companyId = :company)"
    return Condition(expression, {":restoring": RESTORING, ":company": customer["companyId"]}, _STATE)


def _is_active(customer: Item) -> Condition:
    values = {":active": ACTIVE, ":company": customer["companyId"]}
    return Condition("#state = :active AND companyId = :company", values, _STATE)


def _is_free(customer: Item) -> Condition:
    """Require that the pointer is absent or the customer's own, and not ended, reserved or discarded."""
    own = owned_pointer(customer["customerId"])
    return Condition(f"attribute_not_exists(pk) OR ({own.expression})", own.values)


def _has_ended(customer: Item) -> Condition:
    """Require that the company is deleted, but its pointer names the customer: a completed deletion removes that."""
    return Condition("customerId = :customer AND ended = :yes", {":customer": customer["customerId"], ":yes": True})


def _keys(customer: Item) -> tuple[Key, Key]:
    """Return the keys of the customer and of its pointer."""
    return keys.customer(customer["customerId"]), keys.company(customer["companyId"])


def _pointer(customer: Item, *, restoring: bool | None = None) -> Item:
    ids = {"companyId": customer["companyId"], "customerId": customer["customerId"]}
    return {**keys.attributes(keys.company(customer["companyId"])), **ids, "restoring": restoring}


def _restored(customer: Item, state: str, now: int) -> Item:
    """Return the customer to put. If it is `deleting`, end its lease, so that reconcile continues at once."""
    lease = {"leaseUntil": 0} if state == DELETING else {}
    return {**customer, **lease, "state": state, "version": _next_version(customer, now)}


def _next_version(item: Item, now: int) -> int:
    """Return a version above every published version of the item.

    A version starts at the millisecond of the first write and grows by less than 1 a millisecond. So every version that
    was published before the loss is below the current millisecond.
    """
    return max(int(item["version"]) + 1, now)


def response_time(response: Mapping[str, Any]) -> float:
    """Return DynamoDB's time, in whole seconds rounded down, because the operator's clock can be wrong."""
    return parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()


@contextmanager
def _mapper(concurrency: int) -> Iterator[Callable[..., Iterable[list[str]]]]:
    """Yield a `map` that uses `concurrency` threads, or only the calling thread if that is 1."""
    if concurrency == 1:
        yield map
    else:
        with ThreadPoolExecutor(concurrency) as pool:
            yield pool.map


def _invoke(function: str, payload: Mapping[str, Any]) -> None:
    client: Any = boto3.client("lambda")
    client.invoke(FunctionName=function, Qualifier="live", InvocationType="Event", Payload=json.dumps(payload).encode())
