"""A version reads the items of the version before and of the version after it, so that a release can be rolled back.

`items.json` holds items of every kind as DynamoDB stores them, written by version 0.1.0 after its release was prepared.
If a test fails after a change, old items can't be read any more: keep reading them for one version.
"""

import json
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import App
from tests.payloads import webhook_about

ITEMS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "items.json").read_text())
COMPANY_ID = next(item["companyId"]["S"] for item in ITEMS if item["pk"]["S"] == "CUSTOMER#acme")
LATER = {"addedLater": {"M": {"some": {"S": "value"}}}}
"""An attribute that a later version may add to an item."""


@pytest.fixture(params=[{}, LATER], ids=["before", "after"])
def stored(app: App, request: pytest.FixtureRequest) -> App:
    for item in ITEMS:
        body = {"body": {"B": b64decode(item["body"]["B"])}} if "body" in item else {}
        app.stack.dynamodb.put_item(TableName=app.stack.table_name, Item={**item, **body, **request.param})
    return app


def test_they_are_read(stored: App) -> None:
    customers = {customer["customerId"]: customer for customer in stored.get("/customers").json()["customers"]}
    assert set(customers) == {"acme", "beta"}
    customer = stored.get("/customers/acme").json()
    assert (customer["name"], customer["tags"]) == ("Acme Ltd", {"region": "eu"})
    [connection] = customer["connections"]
    assert (connection["status"], connection["nextAction"]) == ("Linked", "none")
    assert connection["initialReadAt"]
    path = f"/customers/acme/connections/{connection['connectionId']}"
    assert len(stored.get(f"{path}/events").json()["events"]) == 4
    [listed] = stored.get("/connections?status=PendingAuth").json()["connections"]
    assert listed["customerId"] == "beta"


def test_they_are_changed_and_deleted(stored: App) -> None:
    """A webhook changes them, a late one about a deleted company is acknowledged, and a deletion leaves tombstones."""
    [connection] = stored.get("/customers/acme").json()["connections"]
    about = {"company_id": COMPANY_ID, "connection_id": connection["connectionId"]}
    now = datetime.now(UTC).isoformat()
    event = webhook_about("connection.disconnected.deauthorized", **about, generatedDate=now)
    assert stored.deliver(event).status_code == 204
    changed = stored.read(connection)
    assert changed["status"] == "Deauthorized"
    [gone] = [item for item in ITEMS if "tombstone" in item]
    late = {"company_id": gone["companyId"]["S"], "connection_id": gone["connectionId"]["S"]}
    assert stored.deliver(webhook_about("connection.connected", **late, generatedDate=now)).status_code == 204

    assert stored.http.delete("/customers/acme").status_code == 204
    assert stored.get("/customers/acme").status_code == 404
    remaining = stored.items(f"COMPANY#{COMPANY_ID}")
    assert {item["sk"].partition("#")[0] for item in remaining} == {"COMPANY", "CONNECTION"}
