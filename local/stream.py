"""The table's stream, read as Lambda reads it: the shards in the order of their lineage, each to its end."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.template import DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient

Record = dict[str, Any]

_PAGE = 1000


@dataclass(slots=True)
class _Shard:
    """`after` is the sequence number of what was read last. Until then `iterator`, or the shard's beginning."""

    shard_id: str
    iterator: str | None = None
    after: str | None = None


class StreamReader:
    """Reads what is new since the last reading, as records of a Lambda event. Not for several threads at once."""

    def __init__(self, client: DynamoDBStreamsClient, stream_arn: str, *, from_now: bool = False) -> None:
        """Begins where the stream does, or with what comes `from_now` on."""
        self._client = client
        self._stream_arn = stream_arn
        self._open: list[_Shard] = []
        self._known: set[str] = set()
        self._discover(from_now=from_now)

    def read(self) -> Iterator[list[Record]]:
        """Pages of records in their order, until there is no more."""
        while True:
            still_open: list[_Shard] = []
            for shard in self._open:
                ended = yield from self._read(shard)
                still_open += [] if ended else [shard]
            if len(still_open) == len(self._open):
                return
            self._open = still_open
            self._discover()

    def _read(self, shard: _Shard) -> Generator[list[Record], None, bool]:
        """Returns whether the shard is closed and read to its end."""
        while True:
            answer = self._client.get_records(ShardIterator=self._iterator(shard), Limit=_PAGE)
            if answer["Records"]:
                yield [lambda_record(record, self._stream_arn) for record in answer["Records"]]
                shard.after = answer["Records"][-1]["dynamodb"]["SequenceNumber"]
            if not answer.get("NextShardIterator"):
                return True
            if not answer["Records"]:
                if shard.iterator:
                    shard.iterator = answer["NextShardIterator"]
                return False

    def _iterator(self, shard: _Shard) -> str:
        """Made anew from the place: moto forgets its iterators with what was read."""
        place: Any = {"StreamArn": self._stream_arn, "ShardId": shard.shard_id}
        if shard.after is not None:
            place |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": shard.after}
        elif shard.iterator is not None:
            return shard.iterator
        else:
            place |= {"ShardIteratorType": "TRIM_HORIZON"}
        return self._client.get_shard_iterator(**place)["ShardIterator"]

    def _discover(self, *, from_now: bool = False) -> None:
        """Opens the shards that are new. Their ids sort by age, so a parent is read before its children."""
        start: dict[str, Any] = {}
        found: list[_Shard] = []
        while True:
            description = self._client.describe_stream(StreamArn=self._stream_arn, **start)["StreamDescription"]
            for described in description["Shards"]:
                shard = _Shard(described["ShardId"])
                if shard.shard_id in self._known:
                    continue
                self._known.add(shard.shard_id)
                if from_now:
                    if "EndingSequenceNumber" in described["SequenceNumberRange"]:
                        continue
                    shard.iterator = self._client.get_shard_iterator(
                        StreamArn=self._stream_arn, ShardId=shard.shard_id, ShardIteratorType="LATEST"
                    )["ShardIterator"]
                found.append(shard)
            if not (last := description.get("LastEvaluatedShardId")):
                break
            start = {"ExclusiveStartShardId": last}
        self._open += sorted(found, key=lambda shard: shard.shard_id)


def lambda_record(record: Mapping[str, Any], stream_arn: str) -> Record:
    """A record of the streams' API in the form in which Lambda hands it on."""
    change = dict(record["dynamodb"])
    change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    for image in {"Keys", "NewImage", "OldImage"} & change.keys():
        change[image] = {name: _as_json(value) for name, value in change[image].items()}
    event: Record = {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": DEFAULT_REGION,
        "dynamodb": change,
        "eventSourceARN": stream_arn,
    }
    if identity := record.get("userIdentity"):  # what TTL removed
        event["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
    return event


def _as_json(attribute: dict[str, Any]) -> dict[str, Any]:
    """An attribute's value (`{"S": "…"}`) as JSON can hold it."""
    if not attribute:
        # DynamoDB Local 3 forgets what it is that is empty; an empty list it tells.
        return {"M": {}}
    [(kind, value)] = attribute.items()
    match kind:
        case "B":
            return {kind: base64.b64encode(value).decode("ascii")}
        case "BS":
            return {kind: [base64.b64encode(one).decode("ascii") for one in value]}
        case "M":
            return {kind: {name: _as_json(one) for name, one in value.items()}}
        case "L":
            return {kind: [_as_json(one) for one in value]}
    return attribute
