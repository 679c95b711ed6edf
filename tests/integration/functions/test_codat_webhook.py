"""POST /webhooks/codat."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.faults import Fault

from shared.domain.timestamps import timestamp
from tests.conftest import App
from tests.integration.faults.proxy import Exchange, Proxy, passed_on
from tests.payloads import signed, webhook, webhook_about


def foreign_ids() -> dict[str, Any]:
    """Return ids of a company with our tag that has no customer."""
    return {"company_id": str(uuid4()), "connection_id": str(uuid4()), "tags": {"uid": f"c-{uuid4()}"}}


def own_ids(app: App) -> dict[str, Any]:
    """Create a customer, and return ids of its company and of a connection that is not stored yet."""
    customer = app.customer()
    tags = {"uid": customer["customerId"]}
    return {"company_id": customer["companyId"], "connection_id": str(uuid4()), "tags": tags}


def stored_connection(app: App, about: dict[str, Any]) -> dict[str, Any] | None:
    items = app.items(f"COMPANY#{about['company_id']}")
    return next((item for item in items if item["sk"].startswith("CONNECTION#")), None)


def timeline(app: App, about: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in app.items(f"COMPANY#{about['company_id']}") if item["sk"].startswith("EVENT#")]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("connection.created", "PendingAuth"),
        ("connection.connected", "Linked"),
        ("connection.reconnected", "Linked"),
        ("connection.disconnected", "Unlinked"),
        ("connection.disconnected.deauthorized", "Deauthorized"),
        ("connection.failed", "PendingAuth"),
        ("connection.deleted", "Deleted"),
    ],
)
def test_every_connection_event_creates_the_connection(app: App, name: str, status: str) -> None:
    """THEN 204 after the connection and its timeline entry are stored."""
    about = own_ids(app)
    body = webhook_about(name, **about)
    assert app.deliver(body, webhook_id="msg_1").status_code == 204
    stored = stored_connection(app, about)
    assert stored is not None
    assert (stored["status"], stored["customerId"], stored["platformKey"]) == (status, about["tags"]["uid"], "qhyg")
    [entry] = timeline(app, about)
    assert (entry["eventId"], entry["eventType"]) == (body["id"], body["eventType"])
    assert (entry["at"], entry["actor"], entry["actorId"]) == (timestamp(body["generatedDate"]), "webhook", "msg_1")


def test_a_failed_authorisation_keeps_the_status_and_sets_the_error(app: App) -> None:
    """THEN the app can show the error, which is cleared once the customer has linked."""
    connection = app.connection(app.customer()["customerId"])
    app.codat.state.cancel(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    failed = app.read(connection)
    assert (failed["status"], failed["error"]) == ("PendingAuth", "User cancelled")
    app.codat.state.link(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    assert (app.read(connection)["status"], app.read(connection)["error"]) == ("Linked", None)


def test_a_revocation_sets_the_error_and_the_next_action(app: App) -> None:
    """THEN Deauthorized, with an error."""
    connection = app.linked(app.customer()["customerId"])
    app.codat.state.revoke(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    revoked = app.read(connection)
    assert (revoked["status"], revoked["nextAction"]) == ("Deauthorized", "reconnect")
    assert revoked["error"]


def test_an_older_event_is_only_added_to_the_timeline(app: App) -> None:
    """GIVEN an event that is older than the stored state THEN the state stays, and the timeline has both."""
    about = own_ids(app)
    app.deliver(webhook_about("connection.connected", **about, generatedDate="2026-11-02T10:00:00.5Z"))
    before = stored_connection(app, about)
    app.deliver(webhook_about("connection.created", **about, generatedDate="2026-11-02T10:00:00.4999999Z"))
    assert stored_connection(app, about) == before
    assert [entry["applied"] for entry in timeline(app, about)] == [False, True]


def test_a_late_event_adds_no_entry_for_a_customer_that_was_deleted_meanwhile(app: App, dynamodb_wire: Proxy) -> None:
    """GIVEN an older event, which is only added to the timeline WHEN the customer is deleted just before that write
    THEN 204, and the timeline is empty.
    """
    about = own_ids(app)
    app.deliver(webhook_about("connection.connected", **about, generatedDate="2026-11-02T10:00:00.5Z"))
    app.codat.faults.add(Fault(kind="webhook-drop"))

    def overtaken(exchange: Exchange) -> None:
        if exchange.operation in {"PutItem", "TransactWriteItems"}:
            dynamodb_wire.heal()
            assert app.http.delete(f"/customers/{about['tags']['uid']}").status_code == 204
        passed_on(exchange)

    dynamodb_wire.always(overtaken)
    late = webhook_about("connection.created", **about, generatedDate="2026-11-02T10:00:00.4Z")
    assert app.deliver(late).status_code == 204
    assert app.items(f"CUSTOMER#{about['tags']['uid']}") == []
    assert timeline(app, about) == []


def test_a_repeated_event_is_stored_once(app: App) -> None:
    """GIVEN a retry of the message, and the same event in a new message THEN nothing changes."""
    about = own_ids(app)
    body = webhook_about("connection.connected", **about)
    assert app.deliver(body, webhook_id="msg_1").status_code == 204
    first = stored_connection(app, about)
    for webhook_id in ("msg_1", "msg_2"):
        assert app.deliver(body, webhook_id=webhook_id).status_code == 204
    stored = stored_connection(app, about)
    assert stored is not None
    assert first is not None
    assert stored["version"] == first["version"]
    assert [entry["actorId"] for entry in timeline(app, about)] == ["msg_1"]


def test_deleted_is_final(app: App) -> None:
    """GIVEN a deletion with an older time, and a newer event after it THEN the connection stays Deleted."""
    about = own_ids(app)
    app.deliver(webhook_about("connection.connected", **about, generatedDate="2026-11-03T00:00:00Z"))
    app.deliver(webhook_about("connection.deleted", **about, generatedDate="2026-11-02T00:00:00Z"))
    app.deliver(webhook_about("connection.reconnected", **about, generatedDate="2026-11-04T00:00:00Z"))
    stored = stored_connection(app, about)
    assert stored is not None
    assert stored["status"] == "Deleted"
    assert "statusShard" not in stored


def test_an_event_without_tags_is_matched_by_the_companys_pointer(app: App) -> None:
    """Some events have no tags."""
    connection = app.connection(app.customer()["customerId"])
    about = {"company_id": connection["companyId"], "connection_id": connection["connectionId"]}
    now = datetime.now(UTC).isoformat()
    assert app.deliver(webhook_about("connection.connected", **about, generatedDate=now)).status_code == 204
    assert app.read(connection)["status"] == "Linked"


def test_a_changed_tag_does_not_change_the_companys_customer(app: App) -> None:
    """GIVEN a tag that was edited in the portal THEN the event is still stored for the company's own customer."""
    connection = app.connection(app.customer()["customerId"])
    about: dict[str, Any] = {"company_id": connection["companyId"], "connection_id": connection["connectionId"]}
    now = datetime.now(UTC).isoformat()
    event = webhook_about("connection.connected", **about, tags={"uid": "another-customer"}, generatedDate=now)
    assert app.deliver(event).status_code == 204
    assert (app.read(connection)["status"], app.read(connection)["customerId"]) == ("Linked", connection["customerId"])
    stored = stored_connection(app, about)
    assert stored is not None
    assert stored["customerId"] == connection["customerId"]


@pytest.mark.parametrize("tags", [None, {}, {"uid": "not a customer id"}, {"region": "us"}, {"uid": "c-1"}])
def test_an_event_about_another_apps_company_is_ignored(app: App, tags: dict[str, str] | None) -> None:
    """GIVEN a company of another app, perhaps with the same tag THEN 204, and nothing is written."""
    about = foreign_ids() | {"tags": tags}
    assert app.deliver(webhook_about("connection.connected", **about)).status_code == 204
    assert app.items(f"COMPANY#{about['company_id']}") == []


@pytest.mark.parametrize("name", ["client.rateLimit.reached", "company.created"])
def test_other_event_types_are_acknowledged(app: App, name: str) -> None:
    """THEN 204, also for an unknown type."""
    before = app.items()
    assert app.deliver(webhook(name)).status_code == 204
    assert app.deliver({**webhook(name), "eventType": "unknown.type"}).status_code == 204
    assert app.items() == before


ABOUT: dict[str, Any] = {"company_id": "COMPANY_ID", "connection_id": str(uuid4())}


def _without(path: str) -> bytes:
    body = webhook_about("connection.connected", **ABOUT)
    *parents, last = path.split(".")
    place = body
    for parent in parents:
        place = place[parent]
    del place[last]
    return json.dumps(body).encode()


UNPARSEABLE = [
    b"",
    b"not json",
    b"[]",
    b"null",
    *(_without(path) for path in ("id", "eventType", "generatedDate", "payload", "payload.connection.status")),
    _without("payload.referenceCompany"),
    json.dumps(webhook_about("connection.connected", **ABOUT, generatedDate="yesterday")).encode(),
    json.dumps(webhook_about("connection.connected", **ABOUT, generatedDate=5)).encode(),
    json.dumps(
        webhook_about(
            "connection.connected", **ABOUT, generatedDate=(datetime.now(UTC) + timedelta(days=1)).isoformat()
        )
    ).encode(),
]


@pytest.mark.parametrize("body", UNPARSEABLE)
def test_an_authentic_but_unparseable_body_is_quarantined(app: App, body: bytes) -> None:
    """THEN 204, and the raw bytes are stored, with the company's other items if it can be read."""
    webhook_id, company_id = f"msg_{uuid4().hex}", own_ids(app)["company_id"]
    body = body.replace(b"COMPANY_ID", company_id.encode())
    assert app.deliver(body, webhook_id=webhook_id).status_code == 204
    [item] = [item for item in app.items() if item.get("webhookId") == webhook_id]
    assert item["pk"] == (f"COMPANY#{company_id}" if company_id.encode() in body else "UNREADABLE#")
    assert base64.b64decode(item["body"]) == body
    assert item["expiresAt"] > datetime.now(UTC).timestamp()


@pytest.mark.parametrize("is_deleted", [False, True])
def test_an_unparseable_body_about_no_customer_is_not_stored(app: App, *, is_deleted: bool) -> None:
    """GIVEN another app's company, or one whose customer was deleted THEN 204, and nothing of it is stored."""
    about = own_ids(app) if is_deleted else foreign_ids()
    if is_deleted:
        assert app.http.delete(f"/customers/{about['tags']['uid']}").status_code == 204
        app.codat.wait_idle()
    before = app.items()
    assert app.deliver(webhook_about("connection.connected", **about, generatedDate="yesterday")).status_code == 204
    assert app.items() == before


def test_every_configured_secret_is_accepted(app: App) -> None:
    """During a rotation Codat may sign with either secret."""
    for secret in app.stack.settings.webhook_secrets:
        about = own_ids(app)
        assert app.deliver(webhook_about("connection.connected", **about), secret=secret).status_code == 204
        assert stored_connection(app, about)


ANOTHER_SECRET = "whsec_" + base64.b64encode(b"another client's secret").decode()


def _assert_rejected(app: App, raw: bytes, headers: dict[str, str]) -> None:
    before = app.items()
    sent = {name: value.encode() for name, value in headers.items()}
    response = app.http.post("/webhooks/codat", content=raw, headers=sent)  # type: ignore[arg-type]  # bytes: httpx accepts only ASCII strings
    assert (response.status_code, response.json()["type"]) == (401, "not-authentic")
    assert app.items() == before


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "x" * 5000, "ü", "v1,", ",", "v1,a,b", "nan"])
def test_a_header_that_is_missing_or_malformed_is_rejected(app: App, header: str, value: str | None) -> None:
    """THEN 401."""
    raw = json.dumps(webhook_about("connection.connected", **foreign_ids())).encode()
    headers = signed(raw, app.stack.settings.webhook_secrets[0])
    if value is None:
        del headers[header]
    else:
        headers[header] = value
    _assert_rejected(app, raw, headers)


@pytest.mark.parametrize("offset", [timedelta(minutes=-6), timedelta(minutes=6), timedelta(days=-9999)])
def test_a_timestamp_out_of_tolerance_is_rejected(app: App, offset: timedelta) -> None:
    """GIVEN more than five minutes, before or after now THEN 401."""
    raw = json.dumps(webhook_about("connection.connected", **foreign_ids())).encode()
    _assert_rejected(app, raw, signed(raw, app.stack.settings.webhook_secrets[0], at=datetime.now(UTC) + offset))


def test_another_secret_or_another_body_is_rejected(app: App) -> None:
    """GIVEN another secret, or the same JSON as different bytes THEN 401: the signature is over the raw bytes."""
    body = webhook_about("connection.connected", **foreign_ids())
    raw = json.dumps(body).encode()
    _assert_rejected(app, raw, signed(raw, ANOTHER_SECRET))
    _assert_rejected(app, json.dumps(body, indent=1).encode(), signed(raw, app.stack.settings.webhook_secrets[0]))


def test_a_body_over_the_limit_is_too_large(app: App) -> None:
    """THEN 413; a body of exactly the limit is accepted."""
    about = own_ids(app)
    body = webhook_about("connection.connected", **about)
    body["payload"]["padding"] = ""
    body["payload"]["padding"] = "x" * (256 * 1024 - len(json.dumps(body)))
    assert app.deliver(body).status_code == 204
    body["payload"]["padding"] += "x"
    response = app.deliver(body)
    assert (response.status_code, response.json()["type"]) == (413, "too-large")


def test_a_base64_encoded_body_is_decoded_first(app: App) -> None:
    """API Gateway encodes bodies of binary content types; the signature is over the bytes that Codat sent."""
    about = own_ids(app)
    raw = json.dumps(webhook_about("connection.connected", **about)).encode()
    headers = signed(raw, app.stack.settings.webhook_secrets[0]) | {"content-type": "application/octet-stream"}
    assert app.http.post("/webhooks/codat", content=raw, headers=headers).status_code == 204
    assert stored_connection(app, about)
