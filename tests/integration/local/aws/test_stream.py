"""The table's stream, on moto and (with DYNAMODB_LOCAL=1) on DynamoDB Local."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.aws.moto_server import moto_server
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
        with moto_server() as url:
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


def changes(stream: StreamReader) -> list[tuple[str, str]]:
    """Return event name and key of the new records."""
    return [(record["eventName"], record["dynamodb"]["Keys"]["pk"]["S"]) for page in stream.read() for record in page]


def test_each_change_is_read_once_and_in_order(table: "DynamoDBClient", endpoint: str, stream_arn: str) -> None:
    """GIVEN puts and deletes before and between reads THEN each is read once, from the beginning of the stream."""
    put(table, "a")
    stream = reader(endpoint, stream_arn)
    put(table, "a", n={"N": "1"})
    assert changes(stream) == [("INSERT", "a"), ("MODIFY", "a")]
    assert changes(stream) == []
    put(table, "b")
    table.delete_item(TableName=TABLE, Key={"pk": {"S": "a"}})
    assert changes(stream) == [("INSERT", "b"), ("REMOVE", "a")]


def test_from_now_skips_earlier_changes(table: "DynamoDBClient", endpoint: str, stream_arn: str) -> None:
    """GIVEN a change before the reader starts THEN only later changes are read."""
    put(table, "a")
    stream = reader(endpoint, stream_arn, from_now=True)
    assert changes(stream) == []
    assert changes(stream) == []
    put(table, "b")
    assert changes(stream) == [("INSERT", "b")]


def test_a_failed_transaction_is_not_in_the_stream(table: "DynamoDBClient", endpoint: str, stream_arn: str) -> None:
    """GIVEN failed transactions between the reads THEN no change of theirs is read, and no later change is missed."""
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
        assert changes(stream) == [("INSERT", key)]


def test_records_have_the_form_of_a_lambda_event(table: "DynamoDBClient", endpoint: str, stream_arn: str) -> None:
    """Numbers are text, binary is base64, times are seconds."""
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


def test_a_deletion_by_ttl_has_a_user_identity() -> None:
    """Lambda's field names start with a lower-case letter."""
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
    """A stream whose first shard is closed when `split` is set. DynamoDB closes a shard after some hours."""

    def __init__(self) -> None:
        self.split = False

    def describe_stream(self, **_: Any) -> Any:
        # The child first: the order of the response has no meaning.
        shards = [{"ShardId": "shard-1", "SequenceNumberRange": {}}]
        if self.split:
            shards.insert(0, {"ShardId": "shard-2", "SequenceNumberRange": {}})
        return {"StreamDescription": {"Shards": shards}}

    def get_shard_iterator(self, *, ShardId: str, **_: Any) -> Any:  # noqa: N803 - boto3's name
        return {"ShardIterator": f"{ShardId}/0"}

    def get_records(self, *, ShardIterator: str, **_: Any) -> Any:  # noqa: N803 - boto3's name
        shard, after = ShardIterator.split("/")
        first, last = {"shard-1": (1, 2), "shard-2": (3, 4)}[shard]
        new = range(max(first, int(after) + 1), last + 1)
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
        return {"Records": records} if is_closed else {"Records": records, "NextShardIterator": f"{shard}/{last}"}


def test_a_closed_shard_is_read_to_its_end_before_its_children() -> None:
    """WHEN the shard is split THEN each record is read once, the parent's first."""
    client: Any = Shards()
    stream = StreamReader(client, "arn:stream")
    assert [record["eventID"] for page in stream.read() for record in page] == ["1", "2"]
    client.split = True
    assert [record["eventID"] for page in stream.read() for record in page] == ["3", "4"]
    assert list(stream.read()) == []


def test_shards_are_read_in_the_order_of_their_lineage() -> None:
    """GIVEN two shards at the start THEN the parent is read first."""
    client: Any = Shards()
    client.split = True
    assert [record["eventID"] for page in StreamReader(client, "arn:stream").read() for record in page] == list("1234")
