"""The patches of moto."""

import gc
import weakref
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.dynamodb.models import dynamodb_backends, table as moto_table
from moto.dynamodbstreams.models import dynamodbstreams_backends

from local.aws.moto_server import moto_server
from local.aws.stream import StreamReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient


@pytest.fixture
def client() -> "Iterator[DynamoDBClient]":
    with moto_server() as url:
        client = boto3.client(
            "dynamodb",
            endpoint_url=url,
            region_name="eu-west-1",
            aws_access_key_id="LOCAL",
            aws_secret_access_key="local",
        )
        client.create_table(
            TableName="things",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        yield client


def key(name: str) -> Any:
    return {"pk": {"S": name}, "sk": {"S": name}}


def put(name: str, **condition: str) -> Any:
    return {"Put": {"TableName": "things", "Item": {**key(name), "new": {"BOOL": True}}, **condition}}


def items(client: "DynamoDBClient") -> dict[str, bool]:
    """Return the items by key, and whether they are new."""
    return {item["pk"]["S"]: "new" in item for item in client.scan(TableName="things")["Items"]}


def test_a_failed_transaction_is_rolled_back(client: "DynamoDBClient") -> None:
    """GIVEN puts and a delete before a write that fails THEN the table is unchanged, and the next transaction works."""
    for name in ("a", "b"):
        client.put_item(TableName="things", Item=key(name))
    writes = [put("a"), put("c"), {"Delete": {"TableName": "things", "Key": key("b")}}]
    rejected = put("d", ConditionExpression="attribute_exists(pk)")

    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(TransactItems=[*writes, rejected])
    assert items(client) == {"a": False, "b": False}
    client.transact_write_items(TransactItems=writes)
    assert items(client) == {"a": True, "c": True}


def stream_client(client: "DynamoDBClient") -> "DynamoDBStreamsClient":
    return boto3.client(
        "dynamodbstreams",
        endpoint_url=client.meta.endpoint_url,
        region_name="eu-west-1",
        aws_access_key_id="LOCAL",
        aws_secret_access_key="local",
    )


def stream_arn(client: "DynamoDBClient") -> str:
    return client.describe_table(TableName="things")["Table"]["LatestStreamArn"]


def test_an_iterator_survives_a_failed_transaction(client: "DynamoDBClient") -> None:
    """GIVEN a shard iterator WHEN a transaction fails THEN the iterator returns the later records, and only these."""
    streams, arn = stream_client(client), stream_arn(client)
    [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="LATEST")

    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(TransactItems=[put("a"), put("b", ConditionExpression="attribute_exists(pk)")])
    client.put_item(TableName="things", Item=key("c"))

    records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    assert [record["dynamodb"]["Keys"]["pk"] for record in records] == [{"S": "c"}]


def test_records_and_iterators_are_dropped_once_they_have_been_read(client: "DynamoDBClient") -> None:
    """GIVEN 5 reads THEN moto keeps no record and a single iterator, and a new reader gets only later records."""
    reader = StreamReader(stream_client(client), stream_arn(client))
    for name in "abcde":
        client.put_item(TableName="things", Item=key(name))
        assert [len(page) for page in reader.read()] == [1]
    _, _, _, region, account, _ = stream_arn(client).split(":", 5)
    table: Any = dynamodb_backends[account][region].tables["things"]
    assert table.stream_shard.items == []
    assert len(dynamodbstreams_backends[account][region].shard_iterators) == 1
    client.put_item(TableName="things", Item=key("f"))
    assert [len(page) for page in StreamReader(stream_client(client), stream_arn(client)).read()] == [1]


def test_copies_of_a_table_are_freed(client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN transactions, each of which copies the table, THEN the garbage collector frees the copies."""
    copies: list[weakref.ref[Any]] = []
    copied = moto_table.Table.__deepcopy__  # type: ignore[attr-defined]

    def copy_and_record(table: Any, memo: Any) -> Any:
        copy = copied(table, memo)
        copies.append(weakref.ref(copy))
        return copy

    monkeypatch.setattr(moto_table.Table, "__deepcopy__", copy_and_record)
    for number in range(5):
        client.transact_write_items(TransactItems=[put(f"a{number}"), put(f"b{number}")])
    gc.collect()
    assert copies
    assert [copy for copy in copies if copy() is not None] == []
