"""A webhook handler as guides write it: svix and boto3 at the top, the signing secret in a variable."""

import json
import os
from typing import Any

import boto3
from svix.webhooks import Webhook

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
dynamodb = boto3.client("dynamodb")


def handler(event: Any, _context: object) -> dict[str, Any]:
    webhook.verify(event["body"], event["headers"])
    payload = json.loads(event["body"])["payload"]
    dynamodb.put_item(
        TableName=os.environ["TABLE_NAME"],
        Item={
            "pk": {"S": payload["referenceCompany"]["id"]},
            "sk": {"S": payload["connection"]["id"]},
            "status": {"S": payload["connection"]["status"]},
        },
    )
    return {"statusCode": 204}
