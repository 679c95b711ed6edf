"""DynamoDB as the rest of the store sees it: items, conditional writes, one translation of its errors.

    botocore's ClientError of a failed condition   -> ConditionFailed, at once
    throttling, conflicts, outages                 -> the same request again, with full jitter; then StoreUnavailable
    any other ClientError                          -> StoreUnavailable, at once

This is the only layer of retries: botocore's own are off.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError as BotocoreConnectionError,
    HTTPClientError,
)
from tenacity import Retrying, retry_if_exception, stop_before_delay, wait_random_exponential

from shared.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Any]
Key = tuple[str, str]
_T = TypeVar("_T")

MAX_WAIT = 3.0
"""Seconds for one operation and its retries, so that an outage is reported quickly."""

_RESERVE = 1.0
"""Seconds kept for the answer to the caller."""

TRANSIENT_ERRORS = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceeded",  # as a cancellation reason it lacks the suffix
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


_THROTTLED: Any = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {}}


class ConditionFailed(Exception):
    """A write's condition did not hold; nothing was written."""

    def __init__(self, index: int, existing: Item | None) -> None:
        super().__init__(f"condition of write {index} failed")
        self.index = index
        """Which of the writes."""
        self.existing = existing
        """The item under that key, if there is one."""


@dataclass(frozen=True, slots=True)
class Condition:
    expression: str
    values: Mapping[str, Any] | None = field(default=None, repr=False)
    names: Mapping[str, str] | None = None
    """For attributes whose names are reserved words of DynamoDB."""


ABSENT = Condition("attribute_not_exists(pk)")


@dataclass(frozen=True, slots=True)
class Write:
    """`Put` of `item`, or `Delete` or `ConditionCheck` of `key`."""

    action: str
    key: Key
    item: Item | None = field(default=None, repr=False)
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Item] = field(repr=False)
    next: Mapping[str, Any] | None
    """Where the next page starts; None after the last."""


def check(key: Key, condition: Condition) -> Write:
    return Write("ConditionCheck", key, None, condition)


def put(item: Item, condition: Condition | None = None) -> Write:
    return Write("Put", (item["pk"], item["sk"]), item, condition)


def delete(key: Key, condition: Condition | None = None) -> Write:
    return Write("Delete", key, None, condition)


class Table:
    def __init__(
        self,
        client: "DynamoDBClient",
        name: str,
        *,
        seconds_left: Callable[[], float] = lambda: float("inf"),
        max_wait: float = MAX_WAIT,
    ) -> None:
        """`seconds_left` is the caller's time: nothing is retried past it."""
        self._client = client
        self._name = name
        self._seconds_left = seconds_left
        self._max_wait = max_wait

    def get(self, key: Key) -> Item | None:
        """Read the item consistently."""
        answer = self._ask(
            lambda: self._client.get_item(TableName=self._name, Key=_marshal_key(key), ConsistentRead=True)
        )
        return unmarshal(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Read the items that exist consistently, in one call (100 at most)."""
        wanted: Any = {self._name: {"Keys": [_marshal_key(key) for key in keys], "ConsistentRead": True}}
        if not wanted[self._name]["Keys"]:
            return {}

        def read() -> dict[Key, Item]:
            answer = self._client.batch_get_item(RequestItems=wanted)
            if answer["UnprocessedKeys"]:
                raise ClientError(_THROTTLED, "BatchGetItem")
            items = [unmarshal(item) for item in answer["Responses"].get(self._name, [])]
            return {(item["pk"], item["sk"]): item for item in items}

        return self._ask(read)

    def query(self, pk: str, sk_prefix: str) -> list[Item]:
        """Read every item of a partition whose sort key starts with `sk_prefix`, consistently."""
        items: list[Item] = []
        start: Mapping[str, Any] | None = None
        while True:
            page = self.query_page(pk, sk_prefix, start=start)
            items.extend(page.items)
            start = page.next
            if start is None:
                return items

    def query_page(
        self,
        pk: str,
        sk_prefix: str,
        *,
        limit: int = 1000,
        start: Mapping[str, Any] | None = None,
        newest_first: bool = False,
    ) -> Page:
        """Read a page of a partition's items whose sort key starts with `sk_prefix`, in its order, consistently."""
        prefixed = " AND begins_with(sk, :prefix)" if sk_prefix else ""
        return self._page(
            KeyConditionExpression=f"pk = :pk{prefixed}",
            ExpressionAttributeValues={":pk": {"S": pk}} | ({":prefix": {"S": sk_prefix}} if sk_prefix else {}),
            ConsistentRead=True,
            ScanIndexForward=not newest_first,
            Limit=limit,
            **_starting(start),
        )

    def query_index(
        self, index: str, attribute: str, value: str, *, limit: int, start: Mapping[str, Any] | None = None
    ) -> Page:
        """Read a page of an index under one key. An index is eventually consistent."""
        return self._page(
            IndexName=index,
            KeyConditionExpression="#shard = :shard",
            ExpressionAttributeNames={"#shard": attribute},
            ExpressionAttributeValues={":shard": {"S": value}},
            Limit=limit,
            **_starting(start),
        )

    def _page(self, **request: Any) -> Page:
        answer = self._ask(lambda: self._client.query(TableName=self._name, **request))
        last = answer.get("LastEvaluatedKey")
        return Page([unmarshal(item) for item in answer["Items"]], unmarshal(last) if last else None)

    def delete_many(self, keys: Iterable[Key]) -> None:
        """Delete without a condition, 25 at a time. After an error, repeat the call to delete the rest."""
        waiting: list[Any] = [{"DeleteRequest": {"Key": _marshal_key(key)}} for key in keys]
        while waiting:
            batch, waiting = waiting[:25], waiting[25:]
            self._ask(lambda batch=batch: self._delete_batch(batch))  # type: ignore[misc]  # mypy can't type a default

    def _delete_batch(self, batch: list[Any]) -> None:
        left = self._client.batch_write_item(RequestItems={self._name: batch})["UnprocessedItems"]
        if left:
            batch[:] = left[self._name]
            raise ClientError(_THROTTLED, "BatchWriteItem")

    def write(self, *writes: Write) -> None:
        """Perform all of the writes or none. Raises ConditionFailed for the first whose condition doesn't hold."""
        if len(writes) == 1:
            self._write_one(writes[0])
        else:
            self._transact(writes)

    def _write_one(self, write: Write) -> None:
        operation: Callable[..., Any] = self._client.put_item if write.action == "Put" else self._client.delete_item
        try:
            self._ask(lambda: operation(**self._request(write)))
        except ClientError as error:
            existing: Any = error.response.get("Item")
            raise ConditionFailed(0, unmarshal(existing) if existing else None) from error

    def _transact(self, writes: tuple[Write, ...]) -> None:
        items: Any = [{write.action: self._request(write)} for write in writes]
        # One token for all retries: if an answer was lost, the retry reports the success of the first.
        token = str(uuid4())
        try:
            self._ask(lambda: self._client.transact_write_items(TransactItems=items, ClientRequestToken=token))
        except ClientError as error:
            for index, reason in enumerate(_cancellation_reasons(error)):
                if reason.get("Code") == "ConditionalCheckFailed":
                    existing = reason.get("Item")
                    raise ConditionFailed(index, unmarshal(existing) if existing else None) from error
            raise StoreUnavailable("DynamoDB cancelled a transaction for an unknown reason.") from error

    def _request(self, write: Write) -> dict[str, Any]:
        request: dict[str, Any] = {"TableName": self._name}
        if write.item is not None:
            request["Item"] = _marshal(write.item)
        else:
            request["Key"] = _marshal_key(write.key)
        if write.condition is not None:
            request["ConditionExpression"] = write.condition.expression
            # The existing item shows who holds a lease, or that a retried write was our own.
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
            if write.condition.names:
                request["ExpressionAttributeNames"] = dict(write.condition.names)
            if write.condition.values:
                request["ExpressionAttributeValues"] = _marshal(write.condition.values)
        return request

    def _ask(self, call: Callable[[], _T]) -> _T:
        """Raise the ClientError of a failed condition as it came, and any other as StoreUnavailable."""
        retrying = Retrying(
            retry=retry_if_exception(_is_transient),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=stop_before_delay(max(0.0, min(self._max_wait, self._seconds_left() - _RESERVE))),
            reraise=True,
        )
        try:
            return retrying(call)
        except ClientError as error:
            if _is_failed_condition(error):
                raise
            raise StoreUnavailable(f"DynamoDB refused: {error.response['Error'].get('Code')}.") from error
        except BotoCoreError as error:
            raise StoreUnavailable("DynamoDB can't be reached.") from error


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, BotocoreConnectionError | HTTPClientError):
        return True
    if not isinstance(error, ClientError):
        return False
    reasons = {reason.get("Code") for reason in _cancellation_reasons(error)}
    # A failed condition is the answer, whatever else was in the way of that transaction.
    if "ConditionalCheckFailed" in reasons:
        return False
    failed = error.response["ResponseMetadata"].get("HTTPStatusCode", 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return failed or error.response["Error"].get("Code") in TRANSIENT_ERRORS or not TRANSIENT_ERRORS.isdisjoint(reasons)


def _is_failed_condition(error: ClientError) -> bool:
    return error.response["Error"].get("Code") == "ConditionalCheckFailedException" or any(
        reason.get("Code") == "ConditionalCheckFailed" for reason in _cancellation_reasons(error)
    )


def _cancellation_reasons(error: ClientError) -> list[Any]:
    response: Any = error.response
    return response.get("CancellationReasons") or []


_serializer = TypeSerializer()
_deserializer = TypeDeserializer()


def _marshal(item: Item) -> dict[str, Any]:
    """Leave out None: an attribute without a value does not exist."""
    return {name: _serializer.serialize(value) for name, value in item.items() if value is not None}


def _marshal_key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def unmarshal(item: Mapping[str, Any]) -> Item:
    """Convert an item from the form that DynamoDB and its streams use."""
    return {name: _plain(_deserializer.deserialize(value)) for name, value in item.items()}


def _starting(start: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"ExclusiveStartKey": _marshal(start)} if start else {}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Binary) else value  # type: ignore[attr-defined]  # the stubs lack it
