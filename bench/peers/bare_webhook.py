"""The webhook written bare, for the warm comparison: the same signature check, one read and one transaction."""

import json
import os
from typing import Any

from botocore.session import get_session
from standardwebhooks import Webhook

TABLE = os.environ["TABLE_NAME"]
dynamodb = get_session().create_client("dynamodb")
secret = json.loads(
    get_session()
    .create_client("secretsmanager")
    .get_secret_value(SecretId=os.environ["CODAT_SECRET_ID"])["SecretString"]
)
webhook = Webhook(secret["webhookSecrets"][0])


def handler(event: Any, _context: object) -> dict[str, Any]:
    envelope = webhook.verify(event["body"], event["headers"])
    company, connection = (envelope["payload"][name] for name in ("referenceCompany", "connection"))
    pk, sk = f"COMPANY#{company['id']}", f"CONNECTION#{connection['id']}"
    keys = [{"pk": {"S": pk}, "sk": {"S": "COMPANY"}}, {"pk": {"S": pk}, "sk": {"S": sk}}]
    items = dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": keys, "ConsistentRead": True}})["Responses"][TABLE]
    stored = next(item for item in items if item["sk"]["S"] == sk)
    version = int(stored["version"]["N"])
    changed = {**stored, "status": {"S": connection["status"]}, "version": {"N": str(version + 1)}}
    entry = {
        "pk": {"S": pk},
        "sk": {"S": f"EVENT#{connection['id']}#{envelope['generatedDate']}#{envelope['id']}"},
        "eventId": {"S": envelope["id"]},
        "eventType": {"S": envelope["eventType"]},
        "at": {"S": envelope["generatedDate"]},
        "status": {"S": connection["status"]},
    }
    dynamodb.transact_write_items(
        TransactItems=[
            {
                "Put": {
                    "TableName": TABLE,
                    "Item": changed,
                    "ConditionExpression": "version = :before",
                    "ExpressionAttributeValues": {":before": {"N": str(version)}},
                }
            },
            {"Put": {"TableName": TABLE, "Item": entry}},
        ]
    )
    return {"statusCode": 204}
