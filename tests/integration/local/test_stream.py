"""The table's stream, on moto and, where it is asked for, on DynamoDB Local."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local import aws, moto_memory
from local.aws.stream import StreamReader, lambda_record
from tests.dynamodb_local import dynamodb_local

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["dynamodb_local"]

TABLE = "things"
OPTIONS: Any = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "TESTSOFTHESTREAM",
    "aws_secret_access_key": "local",
}


@pytest.fixture(params=["moto", "dynamodb-local"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "moto":
        with aws.moto_server() as url:
            yield url
    else:
        yield request.getfixturevalue("dynamodb_local")


@pytest.fixture
def table(endpoint: str) -> "Iterator[DynamoDBClient]":
    client = boto3.client("dynamodb", endpoint_url=endpoint, **OPTIONS)
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    yield client
    client.delete_table(TableName=TABLE)


@pytest.fixture
def stream_arn(table: "DynamoDBClient") -> str:
    return table.describe_table(TableName=TABLE)["Table"]["LatestStreamArn"]


def reader(endpoint: str, stream_arn: str, **options: Any) -> StreamReader:
    return StreamReader(boto3.client("dynamodbstreams", endpoint_url=endpoint, **OPTIONS), stream_arn, **options)


def put(table: "DynamoDBClient", key: str, **attributes: Any) -> None:
    table.put_item(TableName=TABLE, Item={"pk": {"S": key}, **attributes})


def responds(stream: StreamReader) -> list[tuple[str, str]]:
    """Event name and key of what is new."""
    return [(record["eventName"], record["dynamodb"]["Keys"]["pk"]["S"]) for page in stream.read() for record in page]


def test_changes_in_their_order_once(table: "DynamoDBClient", endpoint: str, stream_arn: str) -> None:
    """GIVEN puts and deletes THEN each is read once, in order, from the stream's beginning on."""
    put(table, "a")
    stream = reader(endpoint, stream_arn)
    put(table, "a", n={"N": "1"})
    assert responds(stream) == [("INSERT", "a"), ("MODIFY", "a")]
    assert responds(stream) == []
    put(table, "b")
    table.delete_item(TableName=TABLE, Key={"pk": {"S": "a"}})
    assert responds(stream) == [("INSERT", "b"), ("REMOVE", "a")]


def test_from_now_on(table: "DynamoDBClient", endpoint: str, stream_arn: str) -> None:
    """GIVEN a table from before THEN what happened to it then stays in the past."""
    put(table, "a")
    stream = reader(endpoint, stream_arn, from_now=True)
    assert responds(stream) == []
    assert responds(stream) == []
    put(table, "b")
    assert responds(stream) == [("INSERT", "b")]


def test_a_transaction_that_failed_is_no_change(table: "DynamoDBClient", endpoint: str, stream_arn: str) -> None:
    """GIVEN a transaction rolled back in between THEN nothing of it is read, and nothing after it is missed."""
    stream = reader(endpoint, stream_arn)
    for key in ("a", "b"):
        put(table, key)
        with pytest.raises(table.exceptions.TransactionCanceledException):
            table.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": TABLE, "Item": {"pk": {"S": "never"}}}},
                    {
                        "Put": {
                            "TableName": TABLE,
                            "Item": {"pk": {"S": "a"}},
                            "ConditionExpression": "attribute_not_exists(pk)",
                        }
                    },
                ]
            )
        assert responds(stream) == [("INSERT", key)]


def test_what_was_read_may_be_forgotten(table: "DynamoDBClient", stream_arn: str, endpoint: str) -> None:
    """GIVEN moto, which keeps each record for ever, WHEN what was read is dropped THEN reading goes on as before."""
    if "ddblocal" in stream_arn:
        pytest.skip("DynamoDB Local forgets by itself")
    stream = reader(endpoint, stream_arn)
    for key in ("a", "b", "c"):
        put(table, key)
        pages = list(stream.read())
        assert [record["dynamodb"]["Keys"]["pk"]["S"] for page in pages for record in page] == [key]
        moto_memory.forget_stream(stream_arn, through=pages[-1][-1]["dynamodb"]["SequenceNumber"])
        moto_memory.forget_stream(stream_arn, through=None)
    assert responds(reader(endpoint, stream_arn)) == []


def test_records_are_those_of_a_lambda_event(table: "DynamoDBClient", endpoint: str, stream_arn: str) -> None:
    """Numbers are text, binary is base64, times are seconds: what JSON can hold, and Lambda's own field names."""
    put(
        table,
        "a",
        n={"N": "1.5"},
        body={"B": b"\xff\x00"},
        deep={"L": [{"B": b"x"}, {"M": {"y": {"BS": [b"z"]}}}]},
        empty={"M": {"map": {"M": {}}, "list": {"L": []}}},
        nothing={"M": {}},
    )
    [[record]] = list(reader(endpoint, stream_arn).read())

    assert record["dynamodb"].pop("NewImage") == {
        "pk": {"S": "a"},
        "n": {"N": "1.5"},
        "body": {"B": "/wA="},
        "deep": {"L": [{"B": "eA=="}, {"M": {"y": {"BS": ["eg=="]}}}]},
        "empty": {"M": {"map": {"M": {}}, "list": {"L": []}}},
        "nothing": {"M": {}},
    }
    assert isinstance(record["dynamodb"].pop("ApproximateCreationDateTime"), float)
    assert record["dynamodb"].pop("SizeBytes") > 0
    assert record["dynamodb"].pop("SequenceNumber").isdigit()
    assert record["dynamodb"] == {"Keys": {"pk": {"S": "a"}}, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert set(record) == {
        "eventID",
        "eventName",
        "eventVersion",
        "eventSource",
        "awsRegion",
        "dynamodb",
        "eventSourceARN",
    }


def test_what_ttl_removed_says_so() -> None:
    """In Lambda's spelling, which is not that of the streams' API."""
    record = lambda_record(
        {
            "eventID": "1",
            "eventName": "REMOVE",
            "userIdentity": {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"},
            "dynamodb": {"ApproximateCreationDateTime": datetime(2026, 1, 1, tzinfo=UTC), "SequenceNumber": "1"},
        },
        "arn:stream",
    )
    assert record["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert record["dynamodb"]["ApproximateCreationDateTime"] == 1767225600.0


class Shards:
    """A stream whose first shard closes, as DynamoDB does every few hours."""

    def __init__(self) -> None:
        self.split = False

    def describe_stream(self, **_: Any) -> Any:
        # The child first: the answer's order means nothing.
        shards = [{"ShardId": "shard-1", "SequenceNumberRange": {}}]
        if self.split:
            shards.insert(0, {"ShardId": "shard-2", "SequenceNumberRange": {}})
        return {"StreamDescription": {"Shards": shards}}

    def get_shard_iterator(self, *, ShardId: str, SequenceNumber: str = "", **_: Any) -> Any:  # noqa: N803 - boto3's names
        return {"ShardIterator": f"{ShardId}/{SequenceNumber}"}

    def get_records(self, *, ShardIterator: str, **_: Any) -> Any:  # noqa: N803 - see above
        shard, after = ShardIterator.split("/")
        first, last = {"shard-1": (1, 2), "shard-2": (3, 4)}[shard]
        new = range(max(first, int(after or 0) + 1), last + 1)
        records: list[dict[str, Any]] = [
            {
                "eventID": str(number),
                "eventName": "INSERT",
                "dynamodb": {
                    "SequenceNumber": str(number),
                    "Keys": {"pk": {"S": shard}},
                    "ApproximateCreationDateTime": datetime.now(UTC),
                },
            }
            for number in new
        ]
        is_closed = self.split and shard == "shard-1"
        return {"Records": records} if is_closed else {"Records": records, "NextShardIterator": "on"}


def test_a_shard_that_closes_is_followed_by_its_children() -> None:
    """WHEN the shard is split THEN its last records come before those of what follows it, and none twice."""
    client: Any = Shards()
    stream = StreamReader(client, "arn:stream")
    assert [record["eventID"] for page in stream.read() for record in page] == ["1", "2"]
    client.split = True
    assert [record["eventID"] for page in stream.read() for record in page] == ["3", "4"]
    assert list(stream.read()) == []


def test_two_shards_at_the_start_are_read_in_their_order() -> None:
    """The parent first, to its end."""
    client: Any = Shards()
    client.split = True
    assert [record["eventID"] for page in StreamReader(client, "arn:stream").read() for record in page] == list("1234")
