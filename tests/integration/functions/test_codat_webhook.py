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


def ids() -> dict[str, Any]:
    """A company that carries our tag, and has no customer here."""
    return {"company_id": str(uuid4()), "connection_id": str(uuid4()), "tags": {"uid": f"c-{uuid4()}"}}


def ours(app: App) -> dict[str, Any]:
    """A company of a customer, and a connection that is not known here yet."""
    customer = app.customer()
    tags = {"uid": customer["customerId"]}
    return {"company_id": customer["companyId"], "connection_id": str(uuid4()), "tags": tags}


def register(app: App, about: dict[str, Any]) -> dict[str, Any] | None:
    found = [item for item in app.items(f"COMPANY#{about['company_id']}") if item["sk"].startswith("CONNECTION#")]
    return found[0] if found else None


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
def test_every_connection_event_creates_what_is_not_known(app: App, name: str, status: str) -> None:
    """204 means stored: the connection of a company that is ours, and its place in the timeline."""
    about = ours(app)
    body = webhook_about(name, **about)
    assert app.deliver(body, webhook_id="msg_1").status_code == 204
    stored = register(app, about)
    assert stored is not None
    assert (stored["status"], stored["customerId"], stored["platformKey"]) == (status, about["tags"]["uid"], "qhyg")
    [entry] = timeline(app, about)
    assert (entry["eventId"], entry["eventType"]) == (body["id"], body["eventType"])
    assert (entry["at"], entry["actor"], entry["actorId"]) == (timestamp(body["generatedDate"]), "webhook", "msg_1")


def test_a_failed_authorisation_keeps_the_status_and_gives_the_reason(app: App) -> None:
    """The app can show why; the reason is gone once the customer has linked."""
    connection = app.connection(app.customer()["customerId"])
    app.codat.state.cancel(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    failed = app.read(connection)
    assert (failed["status"], failed["error"]) == ("PendingAuth", "User cancelled")
    app.codat.state.link(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    assert (app.read(connection)["status"], app.read(connection)["error"]) == ("Linked", None)


def test_a_revocation_gives_the_reason_and_what_to_do(app: App) -> None:
    """Deauthorized, with the platform's words."""
    connection = app.linked(app.customer()["customerId"])
    app.codat.state.revoke(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    revoked = app.read(connection)
    assert (revoked["status"], revoked["nextAction"]) == ("Deauthorized", "reconnect")
    assert revoked["error"]


def test_an_older_event_goes_into_the_timeline_alone(app: App) -> None:
    """Late is not newest: the state stays, the history has both."""
    about = ours(app)
    app.deliver(webhook_about("connection.connected", **about, generatedDate="2026-11-02T10:00:00.5Z"))
    before = register(app, about)
    app.deliver(webhook_about("connection.created", **about, generatedDate="2026-11-02T10:00:00.4999999Z"))
    assert register(app, about) == before
    assert [entry["applied"] for entry in timeline(app, about)] == [False, True]


def test_a_late_event_adds_no_entry_for_a_customer_that_was_deleted_meanwhile(app: App, dynamodb_wire: Proxy) -> None:
    """GIVEN an older event, for which only an entry is written WHEN the customer is deleted just before that write THEN
    204, and the timeline is empty.
    """
    about = ours(app)
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


def test_the_same_event_twice_is_one(app: App) -> None:
    """A retry of the message, and the same event as a new message, change nothing."""
    about = ours(app)
    body = webhook_about("connection.connected", **about)
    assert app.deliver(body, webhook_id="msg_1").status_code == 204
    first = register(app, about)
    for webhook_id in ("msg_1", "msg_2"):
        assert app.deliver(body, webhook_id=webhook_id).status_code == 204
    stored = register(app, about)
    assert stored is not None
    assert first is not None
    assert stored["version"] == first["version"]
    assert [entry["actorId"] for entry in timeline(app, about)] == ["msg_1"]


def test_deleted_is_final(app: App) -> None:
    """Whatever its time and whatever comes after, a deletion stays."""
    about = ours(app)
    app.deliver(webhook_about("connection.connected", **about, generatedDate="2026-11-03T00:00:00Z"))
    app.deliver(webhook_about("connection.deleted", **about, generatedDate="2026-11-02T00:00:00Z"))
    app.deliver(webhook_about("connection.reconnected", **about, generatedDate="2026-11-04T00:00:00Z"))
    stored = register(app, about)
    assert stored is not None
    assert stored["status"] == "Deleted"
    assert "statusShard" not in stored


def test_a_company_without_tags_is_ours_by_its_pointer(app: App) -> None:
    """Some events come without tags: then it counts that we made the company."""
    connection = app.connection(app.customer()["customerId"])
    about = {"company_id": connection["companyId"], "connection_id": connection["connectionId"]}
    now = datetime.now(UTC).isoformat()
    assert app.deliver(webhook_about("connection.connected", **about, generatedDate=now)).status_code == 204
    assert app.read(connection)["status"] == "Linked"


def test_a_company_stays_its_customer_s_whatever_its_tag_says_by_now(app: App) -> None:
    """Somebody may edit tags in the portal: whose it is was settled when it was made."""
    connection = app.connection(app.customer()["customerId"])
    about: dict[str, Any] = {"company_id": connection["companyId"], "connection_id": connection["connectionId"]}
    now = datetime.now(UTC).isoformat()
    event = webhook_about("connection.connected", **about, tags={"uid": "somebody-else"}, generatedDate=now)
    assert app.deliver(event).status_code == 204
    assert (app.read(connection)["status"], app.read(connection)["customerId"]) == ("Linked", connection["customerId"])
    stored = register(app, about)
    assert stored is not None
    assert stored["customerId"] == connection["customerId"]


@pytest.mark.parametrize("tags", [None, {}, {"uid": "not a customer id"}, {"region": "us"}, {"uid": "c-1"}])
def test_another_apps_company_is_acknowledged_and_left_alone(app: App, tags: dict[str, str] | None) -> None:
    """A Codat instance may serve other apps, with the same tag: 204, and nothing is written."""
    about = ids() | {"tags": tags}
    assert app.deliver(webhook_about("connection.connected", **about)).status_code == 204
    assert app.items(f"COMPANY#{about['company_id']}") == []


@pytest.mark.parametrize("name", ["client.rateLimit.reached", "company.created"])
def test_other_types_are_acknowledged(app: App, name: str) -> None:
    """204, also for a type that nobody has heard of."""
    before = app.items()
    assert app.deliver(webhook(name)).status_code == 204
    assert app.deliver({**webhook(name), "eventType": "brand.new"}).status_code == 204
    assert app.items() == before


def _without(path: str) -> bytes:
    body = webhook_about("connection.connected", **ids())
    *parents, last = path.split(".")
    place = body
    for parent in parents:
        place = place[parent]
    del place[last]
    return json.dumps(body).encode()


UNREADABLE = [
    b"",
    b"not json",
    b"[]",
    b"null",
    *(_without(path) for path in ("id", "eventType", "generatedDate", "payload", "payload.connection.status")),
    _without("payload.referenceCompany"),
    json.dumps(webhook_about("connection.connected", **ids(), generatedDate="yesterday")).encode(),
    json.dumps(webhook_about("connection.connected", **ids(), generatedDate=5)).encode(),
    json.dumps(
        webhook_about(
            "connection.connected", **ids(), generatedDate=(datetime.now(UTC) + timedelta(days=1)).isoformat()
        )
    ).encode(),
]


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_is_authentic_but_unreadable_is_kept(app: App, body: bytes) -> None:
    """204, with the raw bytes under the day and the message's id."""
    webhook_id = f"msg_{uuid4().hex}"
    assert app.deliver(body, webhook_id=webhook_id).status_code == 204
    [kept] = [item for item in app.items("UNREADABLE#") if item["sk"] == webhook_id]
    assert kept["pk"] == f"UNREADABLE#{datetime.now(UTC):%Y-%m-%d}"
    assert base64.b64decode(kept["body"]) == body
    assert kept["expiresAt"] > datetime.now(UTC).timestamp()


def test_every_configured_secret_is_taken(app: App) -> None:
    """During a rotation Codat signs with either."""
    for secret in app.stack.settings.webhook_secrets:
        about = ours(app)
        assert app.deliver(webhook_about("connection.connected", **about), secret=secret).status_code == 204
        assert register(app, about)


STRANGER = "whsec_" + base64.b64encode(b"somebody else's secret").decode()


def _refused(app: App, raw: bytes, headers: dict[str, str]) -> None:
    before = app.items()
    sent = {name: value.encode() for name, value in headers.items()}
    answer = app.http.post("/webhooks/codat", content=raw, headers=sent)  # type: ignore[arg-type]  # bytes, to be rude
    assert (answer.status_code, answer.json()["type"]) == (401, "not-authentic")
    assert app.items() == before


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "x" * 5000, "ü", "v1,", ",", "v1,a,b", "nan"])
def test_a_header_that_is_missing_or_malformed_is_refused(app: App, missing: str, value: str | None) -> None:
    """401, whatever exception it takes inside."""
    raw = json.dumps(webhook_about("connection.connected", **ids())).encode()
    headers = signed(raw, app.stack.settings.webhook_secrets[0])
    if value is None:
        del headers[missing]
    else:
        headers[missing] = value
    _refused(app, raw, headers)


@pytest.mark.parametrize("off", [timedelta(minutes=-6), timedelta(minutes=6), timedelta(days=-9999)])
def test_a_timestamp_out_of_tolerance_is_refused(app: App, off: timedelta) -> None:
    """Five minutes, both ways."""
    raw = json.dumps(webhook_about("connection.connected", **ids())).encode()
    _refused(app, raw, signed(raw, app.stack.settings.webhook_secrets[0], at=datetime.now(UTC) + off))


def test_another_secret_or_another_body_is_refused(app: App) -> None:
    """The signature is over the raw bytes: the same JSON written otherwise is not what was signed."""
    body = webhook_about("connection.connected", **ids())
    raw = json.dumps(body).encode()
    _refused(app, raw, signed(raw, STRANGER))
    _refused(app, json.dumps(body, indent=1).encode(), signed(raw, app.stack.settings.webhook_secrets[0]))


def test_a_body_over_the_limit_is_too_large(app: App) -> None:
    """413 before any work; at the limit it is taken."""
    about = ours(app)
    body = webhook_about("connection.connected", **about)
    body["payload"]["padding"] = ""
    body["payload"]["padding"] = "x" * (256 * 1024 - len(json.dumps(body)))
    assert app.deliver(body).status_code == 204
    body["payload"]["padding"] += "x"
    answer = app.deliver(body)
    assert (answer.status_code, answer.json()["type"]) == (413, "too-large")


def test_a_base64_encoded_body_is_decoded_first(app: App) -> None:
    """API Gateway encodes what it takes for binary; the signature is over what Codat sent."""
    about = ours(app)
    raw = json.dumps(webhook_about("connection.connected", **about)).encode()
    headers = signed(raw, app.stack.settings.webhook_secrets[0]) | {"content-type": "application/octet-stream"}
    assert app.http.post("/webhooks/codat", content=raw, headers=headers).status_code == 204
    assert register(app, about)
