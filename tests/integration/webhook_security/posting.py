"""Post webhooks to the handler, as events of API Gateway."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from tests.handlers import handler
from tests.integration.faults.context import Context
from tests.payloads import api_event

COMPANY_ID = "0498e921-9b53-4396-a412-4f2f5983b0a2"
"""The company of the customer that conftest.py creates for each test."""


def post_webhook(body: bytes, headers: Mapping[str, str], *, base64: bool = False) -> tuple[int, Any]:
    """Return the status and the body of the answer. A body that isn't UTF-8 is always encoded as base64."""
    event = api_event("codat_webhook")
    try:
        event["body"], event["isBase64Encoded"] = body.decode(), False
    except UnicodeDecodeError:
        base64 = True
    if base64:
        event["body"], event["isBase64Encoded"] = b64encode(body).decode(), True
    event["headers"] = {"content-type": "application/json", "host": "api.example", **headers}
    answer = handler("codat_webhook")(event, Context())
    return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None
