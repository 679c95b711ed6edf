"""The real payloads of `events/`, and Codat's way of signing them."""

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
    """A webhook's body, as Codat sends it."""
    body: dict[str, Any] = json.loads((_EVENTS / "webhooks" / f"{name}.json").read_text())
    return body


def api_event(name: str, *, body: Any = None, **path_parameters: str) -> dict[str, Any]:
    """An API Gateway v2 event, with another body and other path parameters where they are given."""
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
    """The webhook told of another company and connection, as an event of its own."""
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
    """The headers with which Codat would deliver `body`."""
    webhook_id, at = webhook_id or f"msg_{uuid4().hex}", at or datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body.decode()),
    }


def webhook_event(what: str | bytes, secret: str, *, webhook_id: str | None = None, **about: Any) -> dict[str, Any]:
    """The API Gateway v2 event of a signed delivery: of the payload of that name, or of these bytes."""
    raw = what if isinstance(what, bytes) else json.dumps(webhook_about(what, **about)).encode()
    event = api_event("codat_webhook")
    event["body"] = raw.decode()
    event["headers"] |= signed(raw, secret, webhook_id=webhook_id)
    return event
