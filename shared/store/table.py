"""Access to the DynamoDB table: items, conditional writes, and one translation of errors.

    a failed condition                  ConditionFailed, at once
    throttling, conflicts, outages      retries with full jitter, then StoreUnavailable
    any other error                     StoreUnavailable, at once

This is the only layer of retries: botocore's own are off.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError as BotocoreConnectionError,
    HTTPClientError,
)
from tenacity import Retrying, retry_if_exception, stop_before_delay, wait_random_exponential

from shared.domain.errors import StoreUnavailable
from shared.store.attributes import Item, marshal, unmarshal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Key = tuple[str, str]
_T = TypeVar("_T")

MAX_WAIT = 3.0
"""Seconds for an operation and its retries, so that an outage is reported quickly."""
_RESERVE = 1.0
"""Seconds kept for the response to the caller."""
MAX_WRITES = 100
"""DynamoDB's limit for one transaction."""

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
_FAILED_CONDITION = {"ConditionalCheckFailedException", "ConditionalCheckFailed"}
_THROTTLED: Any = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {}}


class ConditionFailed(Exception):
    """The condition of a write was false; the table is unchanged."""

    def __init__(self, index: int, existing: Item | None) -> None:
        super().__init__(f"condition of write {index} failed")
        self.index = index
        self.existing = existing
        """The item under that write's key, if there is one."""


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
        """`seconds_left` is the caller's remaining time, which limits retries."""
        self._client = client
        self._name = name
        self._seconds_left = seconds_left
        self._max_wait = max_wait

    def get(self, key: Key) -> Item | None:
        """Read the item consistently."""
        response = self._call(
            lambda: self._client.get_item(TableName=self._name, Key=_marshal_key(key), ConsistentRead=True)
        )
        return unmarshal(response["Item"]) if "Item" in response else None

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Read the existing items among at most 100 keys consistently, in one call."""
        request: Any = {self._name: {"Keys": [_marshal_key(key) for key in keys], "ConsistentRead": True}}
        if not request[self._name]["Keys"]:
            return {}

        def read() -> dict[Key, Item]:
            response = self._client.batch_get_item(RequestItems=request)
            if response["UnprocessedKeys"]:
                raise ClientError(_THROTTLED, "BatchGetItem")
            items = [unmarshal(item) for item in response["Responses"].get(self._name, [])]
            return {(item["pk"], item["sk"]): item for item in items}

        return self._call(read)

    def query(self, pk: str, sk_prefix: str) -> list[Item]:
        """Read all items of a partition whose sort key starts with `sk_prefix`, consistently."""
        items: list[Item] = []
        start: Item | None = None
        while True:
            page, start = self.query_page(pk, sk_prefix, start=start)
            items.extend(page)
            if start is None:
                return items

    def query_page(
        self, pk: str, sk_prefix: str, *, limit: int = 1000, start: Item | None = None, newest_first: bool = False
    ) -> tuple[list[Item], Item | None]:
        """Read a page of a partition's items whose sort key starts with `sk_prefix`, in order, consistently.

        Return it with the start of the next page; None on the last page.
        """
        return self._page(
            limit,
            start,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": pk}, ":prefix": {"S": sk_prefix}},
            ConsistentRead=True,
            ScanIndexForward=not newest_first,
        )

    def query_index(
        self, index: str, attribute: str, value: str, *, limit: int, start: Item | None
    ) -> tuple[list[Item], Item | None]:
        """Read a page of an index under one key, as `query_page` does. An index is eventually consistent."""
        return self._page(
            limit,
            start,
            IndexName=index,
            KeyConditionExpression="#shard = :shard",
            ExpressionAttributeNames={"#shard": attribute},
            ExpressionAttributeValues={":shard": {"S": value}},
        )

    def _page(self, limit: int, start: Item | None, **request: Any) -> tuple[list[Item], Item | None]:
        if start:
            request["ExclusiveStartKey"] = marshal(start)
        response = self._call(lambda: self._client.query(TableName=self._name, Limit=limit, **request))
        last = response.get("LastEvaluatedKey")
        return [unmarshal(item) for item in response["Items"]], unmarshal(last) if last else None

    def write(self, *writes: Write) -> None:
        """Perform all of the writes or none. Raises ConditionFailed for the first false condition."""
        if len(writes) == 1:
            operation: Any = self._client.put_item if writes[0].action == "Put" else self._client.delete_item
            self._call(lambda: operation(**self._request(writes[0])))
            return
        items: Any = [{write.action: self._request(write)} for write in writes]
        # One token for all retries: if a response was lost, the retry returns the success of the first request.
        token = str(uuid4())
        self._call(lambda: self._client.transact_write_items(TransactItems=items, ClientRequestToken=token))

    def try_write(self, *writes: Write) -> bool:
        """Perform all of the writes or none; return False if a condition is false."""
        try:
            self.write(*writes)
        except ConditionFailed:
            return False
        return True

    def _request(self, write: Write) -> dict[str, Any]:
        request: dict[str, Any] = {"TableName": self._name}
        if write.item is not None:
            request["Item"] = marshal(write.item)
        else:
            request["Key"] = _marshal_key(write.key)
        if write.condition is not None:
            request["ConditionExpression"] = write.condition.expression
            # The existing item identifies the owner of a lease. It may be our own write, if a response was lost.
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
            if write.condition.names:
                request["ExpressionAttributeNames"] = dict(write.condition.names)
            if write.condition.values:
                request["ExpressionAttributeValues"] = marshal(write.condition.values)
        return request

    def _call(self, operation: Callable[[], _T]) -> _T:
        """Call DynamoDB with retries. Raises ConditionFailed and StoreUnavailable."""
        retrying = Retrying(
            retry=retry_if_exception(_is_transient),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=stop_before_delay(max(0.0, min(self._max_wait, self._seconds_left() - _RESERVE))),
            reraise=True,
        )
        try:
            return retrying(operation)
        except ClientError as error:
            for index, reason in enumerate(_reasons(error)):
                if reason.get("Code") in _FAILED_CONDITION:
                    existing = reason.get("Item")
                    raise ConditionFailed(index, unmarshal(existing) if existing else None) from error
            raise StoreUnavailable(f"DynamoDB rejected a request: {error.response['Error'].get('Code')}.") from error
        except BotoCoreError as error:
            raise StoreUnavailable("DynamoDB can't be reached. Repeat this call later.") from error


def _reasons(error: ClientError) -> list[Any]:
    """Return a reason per write of a cancelled transaction, or the one reason of another operation."""
    response: Any = error.response
    return response.get("CancellationReasons") or [{**response["Error"], "Item": response.get("Item")}]


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, BotocoreConnectionError | HTTPClientError):
        return True
    if not isinstance(error, ClientError):
        return False
    codes = {reason.get("Code") for reason in _reasons(error)}
    # A failed condition is final, even if another write of the transaction had a conflict.
    if not _FAILED_CONDITION.isdisjoint(codes):
        return False
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or not TRANSIENT_ERRORS.isdisjoint(codes)


def _marshal_key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}
