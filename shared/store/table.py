"""DynamoDB as the rest of the store sees it: items, conditional writes, one translation of its errors.

Conflicts and throttling are retried with full jitter: for `patience` seconds an operation, and for twice that in any
15 s together, after which Codat counts a webhook as failed. Then `StoreUnavailable`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import local
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from shared.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = Mapping[str, Any]
Key = tuple[str, str]
_T = TypeVar("_T")

_PASSING = frozenset(
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


_CODAT_WAITS = 15.0


class ConditionFailed(Exception):
    """A write's condition did not hold; nothing was written."""

    def __init__(self, index: int, found: Item | None) -> None:
        super().__init__(f"condition of write {index} failed")
        self.index = index
        """Which of the writes."""
        self.found = found
        """The item that stood in its way, where there is one."""


@dataclass(frozen=True, slots=True)
class Condition:
    expression: str
    values: Mapping[str, Any] | None = field(default=None, repr=False)
    names: Mapping[str, str] | None = None
    """For attributes whose names DynamoDB reserves."""


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
    def __init__(self, client: "DynamoDBClient", name: str, *, patience: float = 3.0) -> None:
        self._client = client
        self._name = name
        self._patience = patience
        self._repeating = _Repeating()

    def get(self, key: Key) -> Item | None:
        """The item, read consistently."""
        answer = self._ask(
            lambda: self._client.get_item(TableName=self._name, Key=_marshal_key(key), ConsistentRead=True)
        )
        return unmarshal(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """The items that exist, read consistently in one call (100 at most)."""
        wanted: Any = {self._name: {"Keys": [_marshal_key(key) for key in keys], "ConsistentRead": True}}
        if not wanted[self._name]["Keys"]:
            return {}

        def read() -> dict[Key, Item]:
            answer = self._client.batch_get_item(RequestItems=wanted)
            if answer["UnprocessedKeys"]:
                raise ClientError({"Error": {"Code": "ThrottlingException"}}, "BatchGetItem")
            items = [unmarshal(item) for item in answer["Responses"].get(self._name, [])]
            return {(item["pk"], item["sk"]): item for item in items}

        return self._ask(read)

    def query(self, pk: str, sk_prefix: str) -> list[Item]:
        """Every item of a partition whose sort key starts with `sk_prefix`, read consistently."""
        found: list[Item] = []
        start: Mapping[str, Any] | None = None
        while True:
            page = self.query_page(pk, sk_prefix, start=start)
            found.extend(page.items)
            start = page.next
            if start is None:
                return found

    def query_page(
        self,
        pk: str,
        sk_prefix: str,
        *,
        limit: int = 1000,
        start: Mapping[str, Any] | None = None,
        newest_first: bool = False,
    ) -> Page:
        """Some items of a partition whose sort key starts with `sk_prefix`, in its order, read consistently."""
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
        """Some entries of an index under one partition; an index is a moment behind the table."""
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
        """Deletes without a condition, 25 at a time; what was not reached is deleted by the same call, repeated."""
        waiting: list[Any] = [{"DeleteRequest": {"Key": _marshal_key(key)}} for key in keys]
        while waiting:
            batch, waiting = waiting[:25], waiting[25:]
            self._ask(lambda batch=batch: self._delete_batch(batch))  # type: ignore[misc]  # mypy can't type a default

    def _delete_batch(self, batch: list[Any]) -> None:
        left = self._client.batch_write_item(RequestItems={self._name: batch})["UnprocessedItems"]
        if left:
            batch[:] = left[self._name]
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "BatchWriteItem")

    def write(self, *writes: Write) -> None:
        """All of the writes or none. Raises ConditionFailed for the first whose condition doesn't hold."""
        if len(writes) == 1:
            self._write_one(writes[0])
        else:
            self._transact(writes)

    def _write_one(self, write: Write) -> None:
        operation: Callable[..., Any] = self._client.put_item if write.action == "Put" else self._client.delete_item
        try:
            self._ask(lambda: operation(**self._request(write)))
        except ClientError as error:
            found: Any = error.response.get("Item")
            raise ConditionFailed(0, unmarshal(found) if found else None) from error

    def _transact(self, writes: tuple[Write, ...]) -> None:
        items: Any = [{write.action: self._request(write)} for write in writes]
        # One token for all tries: where an answer was lost on the way, the next try learns that it had worked.
        token = str(uuid4())
        try:
            self._ask(lambda: self._client.transact_write_items(TransactItems=items, ClientRequestToken=token))
        except ClientError as error:
            for index, reason in enumerate(_cancellation_reasons(error)):
                if reason.get("Code") == "ConditionalCheckFailed":
                    found = reason.get("Item")
                    raise ConditionFailed(index, unmarshal(found) if found else None) from error
            raise StoreUnavailable("DynamoDB cancelled a transaction for no reason that we know.") from error

    def _request(self, write: Write) -> dict[str, Any]:
        request: dict[str, Any] = {"TableName": self._name}
        if write.item is not None:
            request["Item"] = _marshal(write.item)
        else:
            request["Key"] = _marshal_key(write.key)
        if write.condition is not None:
            request["ConditionExpression"] = write.condition.expression
            # What stood in the way tells who holds a lease or that a repeated write was our own.
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
            if write.condition.names:
                request["ExpressionAttributeNames"] = dict(write.condition.names)
            if write.condition.values:
                request["ExpressionAttributeValues"] = _marshal(write.condition.values)
        return request

    def _ask(self, call: Callable[[], _T]) -> _T:
        """Raises the ClientError of a failed condition as it came, anything else as StoreUnavailable."""
        retrying = Retrying(
            retry=retry_if_exception(_is_passing),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=stop_after_delay(min(self._patience, 2 * self._patience - self._repeating.seconds())),
            reraise=True,
        )
        started = monotonic()
        try:
            return retrying(call)
        except ClientError as error:
            if _is_failed_condition(error):
                raise
            raise StoreUnavailable(f"DynamoDB refused: {error.response['Error'].get('Code')}.") from error
        except BotoCoreError as error:
            raise StoreUnavailable("DynamoDB is out of reach.") from error
        finally:
            if retrying.statistics["attempt_number"] > 1:
                self._repeating.note(started)


class _Repeating(local):
    """How long operations had to be repeated of late, in this thread, which serves one call at a time."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    def seconds(self) -> float:
        self._spans = [(start, end) for start, end in self._spans if end > monotonic() - _CODAT_WAITS]
        return sum(end - start for start, end in self._spans)

    def note(self, started: float) -> None:
        self._spans.append((started, monotonic()))


def _is_passing(error: BaseException) -> bool:
    if not isinstance(error, ClientError):
        return False
    reasons = {reason.get("Code") for reason in _cancellation_reasons(error)}
    # A failed condition is the answer, whatever else was in the way of that transaction.
    if "ConditionalCheckFailed" in reasons:
        return False
    return error.response["Error"].get("Code") in _PASSING or not _PASSING.isdisjoint(reasons)


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
    """None is left out: an attribute that has no value does not exist."""
    return {name: _serializer.serialize(value) for name, value in item.items() if value is not None}


def _marshal_key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def unmarshal(item: Mapping[str, Any]) -> Item:
    """An item from the form in which DynamoDB and its streams write it."""
    found = {name: _deserializer.deserialize(value) for name, value in item.items()}
    return {name: _plain(value) for name, value in found.items()}


def _starting(start: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"ExclusiveStartKey": _marshal(start)} if start else {}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Binary) else value  # type: ignore[attr-defined]  # the stubs lack it
