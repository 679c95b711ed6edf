"""Deliveries to the webhook's own handler, as API Gateway would hand them on."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from functions.codat_webhook import app
from tests.integration.faults.context import Context
from tests.payloads import api_event

COMPANY_ID = "0498e921-9b53-4396-a412-4f2f5983b0a2"
"""A company of ours in each test of this folder: see conftest.py."""


def post_webhook(body: bytes, headers: Mapping[str, str], *, base64: bool | None = None) -> tuple[int, Any]:
    """The status and the body of the answer. `base64`: None where the body decides, which must be if it is no text."""
    event = api_event("codat_webhook")
    try:
        event["body"], event["isBase64Encoded"] = body.decode(), False
    except UnicodeDecodeError:
        base64 = True
    if base64:
        event["body"], event["isBase64Encoded"] = b64encode(body).decode(), True
    event["headers"] = {"content-type": "application/json", "host": "api.example", **headers}
    answer = app.handler(event, Context())
    return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None
