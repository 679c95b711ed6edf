"""moto, made fit for a long run."""

import gc
import weakref
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.dynamodb.models import table as moto_table

from local import aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def client() -> "Iterator[DynamoDBClient]":
    with aws.moto_server() as url:
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
    """What is there, and whether it is new."""
    return {item["pk"]["S"]: "new" in item for item in client.scan(TableName="things")["Items"]}


def test_a_transaction_that_fails_changes_nothing(client: "DynamoDBClient") -> None:
    """GIVEN puts, a replacement and a delete before the write that fails THEN all is as before; the next one works."""
    for name in ("a", "b"):
        client.put_item(TableName="things", Item=key(name))
    writes = [put("a"), put("c"), {"Delete": {"TableName": "things", "Key": key("b")}}]
    refused = put("d", ConditionExpression="attribute_exists(pk)")

    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(TransactItems=[*writes, refused])
    assert items(client) == {"a": False, "b": False}
    client.transact_write_items(TransactItems=writes)
    assert items(client) == {"a": True, "c": True}


def test_the_stream_does_not_tell_what_was_rolled_back(client: "DynamoDBClient") -> None:
    """GIVEN a reader with its iterator WHEN a transaction fails THEN it hears of what follows, and of nothing else."""
    streams = boto3.client(
        "dynamodbstreams",
        endpoint_url=client.meta.endpoint_url,
        region_name="eu-west-1",
        aws_access_key_id="LOCAL",
        aws_secret_access_key="local",
    )
    arn = client.describe_table(TableName="things")["Table"]["LatestStreamArn"]
    [shard] = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="LATEST")

    with pytest.raises(client.exceptions.TransactionCanceledException):
        client.transact_write_items(TransactItems=[put("a"), put("b", ConditionExpression="attribute_exists(pk)")])
    client.put_item(TableName="things", Item=key("c"))

    told = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    assert [record["dynamodb"]["Keys"]["pk"] for record in told] == [{"S": "c"}]


def test_no_copy_of_a_table_is_kept(client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN transactions, each of which copies the table, THEN none of the copies is alive afterwards."""
    copies: list[weakref.ref[Any]] = []
    copied = moto_table.Table.__deepcopy__  # type: ignore[attr-defined]

    def noted(table: Any, memo: Any) -> Any:
        copy = copied(table, memo)
        copies.append(weakref.ref(copy))
        return copy

    monkeypatch.setattr(moto_table.Table, "__deepcopy__", noted)
    for number in range(5):
        client.transact_write_items(TransactItems=[put(f"a{number}"), put(f"b{number}")])
    gc.collect()
    assert copies
    assert [copy for copy in copies if copy() is not None] == []
