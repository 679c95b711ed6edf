"""What is on the bus, and what `docs/events/` says of it."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from tests.conftest import App

SCHEMAS = Path(__file__).parents[1] / "docs" / "events"


def events_about(app: App, customer_id: str) -> list[dict[str, Any]]:
    """The events about a customer and its connections, oldest first."""
    return [event for event in app.stack.events() if event["detail"]["customerId"] == customer_id]


def assert_as_documented(events: list[dict[str, Any]]) -> None:
    """Each holds no more and no less than its schema says, and stands above those before it of the same thing."""
    newest: dict[str, int] = {}
    for event in events:
        detail = event["detail"]
        assert event["source"] == "codat.customers"
        jsonschema.validate(detail, json.loads((SCHEMAS / f"{event['detail-type']}.json").read_text()))
        thing, version = detail.get("connectionId", detail["customerId"]), detail["version"]
        assert detail["eventId"] == f"{thing}:{version}"
        assert version > newest.get(thing, 0), f"{event['detail-type']} would be ignored"
        newest[thing] = version
