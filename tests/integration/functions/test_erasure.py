"""DELETE /customers/{customerId} erases every trace of the customer, as docs/operations.md promises."""

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest

from shared.messaging.queue import Queue
from shared.runtime.observability import logger
from tests.conftest import App
from tests.payloads import webhook_about

CUSTOMER_ID = "dave@example.com"
PERSONAL: dict[str, Any] = {
    "name": "Bank of Dave Ltd",
    "description": "Dave's second bank",
    "tags": {"contact": "dave-mobile-0123"},
}
TRACES = (CUSTOMER_ID, "Bank of Dave", "second bank", "dave-mobile", "Dave forgot his password", "Dave's own platform")


def traces_in(value: Any) -> list[str]:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return [trace for trace in TRACES if trace in text]


def stored(app: App) -> list[dict[str, Any]]:
    """Return the table's items, with quarantined bodies as text."""
    return [{**item, "body": b64decode(item.get("body", "")).decode()} for item in app.items()]


def leave_every_trace(app: App) -> dict[str, Any]:
    """Store everything that the stack can store about a customer, and return the customer."""
    created = app.post("/customers", {"customerId": CUSTOMER_ID, **PERSONAL})
    assert created.status_code == 201
    company_id: str = created.json()["companyId"]
    connection = app.linked(CUSTOMER_ID)
    about = {"company_id": company_id, "connection_id": connection["connectionId"]}
    failed = webhook_about("connection.failed", **about, generatedDate=datetime.now(UTC).isoformat())
    failed["payload"]["connection"]["dataConnectionErrors"][0]["errorMessage"] = "Dave forgot his password"
    assert app.deliver(failed).status_code == 204
    unparseable = webhook_about("connection.connected", **about, generatedDate="yesterday")
    unparseable["payload"]["connection"]["platformName"] = "Dave's own platform"
    assert app.deliver(unparseable).status_code == 204
    app.post(f"/customers/{CUSTOMER_ID}/connections", {"platformKey": "none"})
    assert app.post(f"/customers/{CUSTOMER_ID}/invitations", {}).status_code == 201
    app.http.patch(f"/customers/{CUSTOMER_ID}", json={"description": PERSONAL["description"] + "!"})
    return dict(created.json())


@pytest.mark.parametrize("deleted_by", ["the app", "Codat"])
def test_nothing_of_a_deleted_customer_is_in_the_table(app: App, deleted_by: str) -> None:
    """GIVEN a customer with connection, error, invitation and quarantined webhook THEN only tombstones stay."""
    customer = leave_every_trace(app)
    assert traces_in(stored(app)) == list(TRACES)
    if deleted_by == "the app":
        assert app.http.delete(f"/customers/{CUSTOMER_ID}").status_code == 204
    else:
        app.codat.state.delete_company(customer["companyId"])
    app.codat.wait_idle()
    app.stack.events()
    items = stored(app)
    assert traces_in(items) == []
    assert not [item for item in items if item["pk"].startswith("INVITATION#") or item["sk"].startswith("INVITATION")]
    kept = [item for item in items if item["pk"] == f"COMPANY#{customer['companyId']}"]
    assert kept
    assert all(item["expiresAt"] for item in kept)


def test_a_company_deleted_during_the_arrival_of_a_webhook_keeps_nothing(app: App) -> None:
    """GIVEN the same unparseable webhook after the deletion THEN it is not stored again."""
    customer = leave_every_trace(app)
    app.http.delete(f"/customers/{CUSTOMER_ID}")
    late = webhook_about(
        "connection.connected", company_id=customer["companyId"], connection_id="late", generatedDate="yesterday"
    )
    late["payload"]["connection"]["platformName"] = "Dave's own platform"
    assert app.deliver(late).status_code == 204
    assert traces_in(stored(app)) == []


def test_messages_of_a_reconcile_contain_ids_only(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may become dead letters, and have no name, tag or text."""
    leave_every_trace(app)
    sent: list[Any] = []
    send = Queue.send

    def recording(queue: Queue, messages: Iterable[Mapping[str, Any]]) -> int:
        sent.extend(listed := list(messages))
        return send(queue, listed)

    monkeypatch.setattr(Queue, "send", recording)
    app.http.post("/_local/reconcile")
    assert set(traces_in(sent)) == {CUSTOMER_ID}


def test_no_log_line_contains_personal_data(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN HASH_IDS_IN_LOGS THEN no line contains the id, a name, a tag or an error's text."""
    log = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    monkeypatch.setenv("HASH_IDS_IN_LOGS", "true")
    leave_every_trace(app)
    app.http.post("/_local/reconcile")
    app.http.delete(f"/customers/{CUSTOMER_ID}")
    assert log.getvalue()
    assert traces_in(log.getvalue()) == []
