"""The payloads in `events/`, signed as Codat signs them."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from standardwebhooks import Webhook

_EVENTS = Path(__file__).parent.parent / "events"

CONNECTION_WEBHOOKS = [path.stem for path in sorted((_EVENTS / "webhooks").glob("connection.*.json"))]


def webhook(name: str) -> dict[str, Any]:
    """Return the body of a webhook as Codat sends it."""
    body: dict[str, Any] = json.loads((_EVENTS / "webhooks" / f"{name}.json").read_text())
    return body


def api_event(name: str, *, body: Any = None, **path_parameters: str) -> dict[str, Any]:
    """Return an API Gateway v2 event, with the given body and path parameters."""
    event: dict[str, Any] = json.loads((_EVENTS / "api" / f"{name}.json").read_text())
    if body is not None:
        event["body"] = json.dumps(body)
    if path_parameters:
        event["pathParameters"] = path_parameters
    return event


def webhook_about(
    name: str,
    *,
    company_id: str,
    connection_id: str,
    tags: dict[str, str] | None = None,
    **envelope: Any,
) -> dict[str, Any]:
    """Return a webhook about the given company and connection, with a new event id."""
    body = deepcopy(webhook(name))
    body |= {"id": str(uuid4()), **envelope}
    body["payload"]["referenceCompany"]["id"] = company_id
    if tags is None:
        del body["payload"]["referenceCompany"]["tags"]
    else:
        body["payload"]["referenceCompany"]["tags"] = tags
    body["payload"]["connection"]["id"] = connection_id
    return body


def signed(body: bytes, secret: str, *, webhook_id: str | None = None, at: datetime | None = None) -> dict[str, str]:
    """Return the headers with which Codat delivers `body`."""
    webhook_id, at = webhook_id or f"msg_{uuid4().hex}", at or datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body.decode()),
    }


def webhook_event(payload: str | bytes, secret: str, *, webhook_id: str | None = None, **about: Any) -> dict[str, Any]:
    """Return the API Gateway v2 event of a signed webhook: a payload in `events/` by its name, or a raw body."""
    raw = payload if isinstance(payload, bytes) else json.dumps(webhook_about(payload, **about)).encode()
    event = api_event("codat_webhook")
    event["body"] = raw.decode()
    event["headers"] |= signed(raw, secret, webhook_id=webhook_id)
    return event
