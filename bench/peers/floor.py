"""The least that a Python function with DynamoDB can do: one client, one write."""

import os
from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")


def handler(_event: Any, _context: object) -> dict[str, Any]:
    dynamodb.put_item(TableName=os.environ["TABLE_NAME"], Item={"pk": {"S": "1"}, "sk": {"S": "1"}})
    return {"statusCode": 204}
