"""Change events on the bus, checked against the schemas in `docs/events/`."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from tests.conftest import App

SCHEMAS = Path(__file__).parents[1] / "docs" / "events"


def events_about(app: App, customer_id: str) -> list[dict[str, Any]]:
    """Return the events of a customer and its connections, oldest first."""
    return [event for event in app.stack.events() if event["detail"]["customerId"] == customer_id]


def assert_as_documented(events: list[dict[str, Any]]) -> None:
    """Check that each event matches its schema, and that the versions of each customer and connection grow."""
    newest: dict[str, int] = {}
    for event in events:
        detail = event["detail"]
        assert event["source"] == "codat.customers"
        jsonschema.validate(detail, json.loads((SCHEMAS / f"{event['detail-type']}.json").read_text()))
        subject, version = detail.get("connectionId", detail["customerId"]), detail["version"]
        assert detail["eventId"] == f"{subject}:{version}"
        assert version > newest.get(subject, 0), f"{event['detail-type']} would be ignored"
        newest[subject] = version
