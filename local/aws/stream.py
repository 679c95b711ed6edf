"""Read a DynamoDB stream as Lambda does: shards in the order of their lineage, each to its end."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from local.template import DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_dynamodbstreams.literals import ShardIteratorTypeType

Record = dict[str, Any]

# The publish function's batch size in the template.
_PAGE_SIZE = 100


class StreamReader:
    """Return the records since the last read, in the form of a Lambda event. Not thread-safe."""

    def __init__(self, client: DynamoDBStreamsClient, stream_arn: str, *, from_now: bool = False) -> None:
        """`from_now` skips the records that the stream already holds."""
        self._client = client
        self._stream_arn = stream_arn
        # The next iterator by shard id, parents before children; None if the shard is closed and read.
        self._iterators: dict[str, str | None] = {}
        self._discover_shards("LATEST" if from_now else "TRIM_HORIZON")

    def read(self) -> Iterator[list[Record]]:
        """Yield pages of records, oldest first, until there are no more."""
        while True:
            shards = [shard_id for shard_id, iterator in self._iterators.items() if iterator]
            for shard_id in shards:
                yield from self._read_shard(shard_id)
            if all(self._iterators[shard_id] for shard_id in shards):
                return
            # A closed shard has children.
            self._discover_shards("TRIM_HORIZON")

    def _read_shard(self, shard_id: str) -> Iterator[list[Record]]:
        while iterator := self._iterators[shard_id]:
            response = self._client.get_records(ShardIterator=iterator, Limit=_PAGE_SIZE)
            self._iterators[shard_id] = response.get("NextShardIterator")
            if not response["Records"]:
                return
            yield [lambda_record(record, self._stream_arn) for record in response["Records"]]

    def _discover_shards(self, start: ShardIteratorTypeType) -> None:
        shards = self._client.describe_stream(StreamArn=self._stream_arn)["StreamDescription"]["Shards"]
        # A shard id contains the time of its creation, so a parent sorts before its children.
        for shard_id in sorted(shard["ShardId"] for shard in shards):
            if shard_id not in self._iterators:
                response = self._client.get_shard_iterator(
                    StreamArn=self._stream_arn, ShardId=shard_id, ShardIteratorType=start
                )
                self._iterators[shard_id] = response["ShardIterator"]


def lambda_record(record: Mapping[str, Any], stream_arn: str) -> Record:
    """Convert a record of the streams API to a record of a Lambda event."""
    change = dict(record["dynamodb"])
    change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    for image in {"Keys", "NewImage", "OldImage"} & change.keys():
        change[image] = {name: _to_json(value) for name, value in change[image].items()}
    event: Record = {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": DEFAULT_REGION,
        "dynamodb": change,
        "eventSourceARN": stream_arn,
    }
    if identity := record.get("userIdentity"):  # set if TTL deleted the item
        event["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
    return event


def _to_json(attribute: dict[str, Any]) -> dict[str, Any]:
    """Convert an attribute value (`{"S": "…"}`) to JSON types: base64 for binary."""
    if not attribute:
        # DynamoDB Local 3 returns an empty map as {}.
        return {"M": {}}
    [(kind, value)] = attribute.items()
    match kind:
        case "B":
            return {kind: base64.b64encode(value).decode("ascii")}
        case "BS":
            return {kind: [base64.b64encode(item).decode("ascii") for item in value]}
        case "M":
            return {kind: {name: _to_json(item) for name, item in value.items()}}
        case "L":
            return {kind: [_to_json(item) for item in value]}
    return attribute
