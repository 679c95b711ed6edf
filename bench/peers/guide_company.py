"""A handler that creates a company as guides write it: Codat's SDK and boto3 at the top, the API key in a variable."""

import base64
import json
import os
from typing import Any

import boto3
from codat_platform import CodatPlatform
from codat_platform.models import shared

key = base64.b64encode(os.environ["CODAT_API_KEY"].encode()).decode()
codat = CodatPlatform(security=shared.Security(auth_header=f"Basic {key}"), server_url=os.environ["CODAT_BASE_URL"])
dynamodb = boto3.client("dynamodb")


def handler(event: Any, _context: object) -> dict[str, Any]:
    body = json.loads(event["body"])
    company = codat.companies.create(
        request=shared.CompanyRequestBody(name=body["name"], tags={"uid": body["customerId"]})
    )
    dynamodb.put_item(
        TableName=os.environ["TABLE_NAME"],
        Item={"pk": {"S": body["customerId"]}, "sk": {"S": "CUSTOMER"}, "companyId": {"S": company.id}},
    )
    return {"statusCode": 201, "body": json.dumps({"companyId": company.id})}
