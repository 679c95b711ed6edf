"""The messages that consumers get."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from codat_simulator.clock import Clock, EventDates
from codat_simulator.models import Consumer
from codat_simulator.server import CodatServer
from codat_simulator.settings import WEBHOOK_SECRET
from receiver import Receiver
from standardwebhooks import Webhook, WebhookVerificationError

Json = dict[str, Any]

OTHER_SECRET = "whsec_b3RoZXItc2VjcmV0LW9mLXRoZS10ZXN0cw=="  # pragma: allowlist secret


def test_events_of_a_connection_from_creation_to_deletion(
    api: httpx.Client, codat: CodatServer, receiver: Receiver, company: Json, connection: Json
) -> None:
    ids = company["id"], connection["id"]
    codat.state.cancel(*ids)
    codat.state.link(*ids)
    codat.wait_idle()
    codat.state.revoke(*ids)
    codat.state.link(*ids)
    codat.wait_idle()
    path = f"/companies/{ids[0]}/connections/{ids[1]}"
    api.patch(path, json={"status": "Unlinked"})
    api.delete(path)
    api.delete(f"/companies/{ids[0]}")
    codat.wait_idle()

    events = [(e.type, e.event["payload"].get("connection", {}).get("status")) for e in receiver.received]
    assert events == [
        ("company.created", None),
        ("connection.created", "PendingAuth"),
        ("connection.failed", "PendingAuth"),
        ("connection.connected", "Linked"),
        ("read.completed.initial", None),
        ("connection.disconnected", "Deauthorized"),
        ("connection.reconnected", "Linked"),
        ("read.completed.initial", None),
        ("connection.disconnected", "Unlinked"),
        ("connection.deleted", "Unlinked"),
        ("company.deleted", None),
    ]
    dates = [e.event["generatedDate"] for e in receiver.received]
    assert {len(date) for date in dates} == {len("2024-08-08T17:10:34.015Z"), len("2024-08-08T17:10:34.0151234Z")}


def test_connection_event_has_codats_envelope(
    codat: CodatServer, receiver: Receiver, company: Json, connection: Json
) -> None:
    codat.wait_idle()

    event = receiver.received[-1].event

    assert set(event) == {"id", "eventType", "generatedDate", "payload"}
    assert event["payload"]["referenceCompany"] == {
        "id": company["id"],
        "name": "Bank of Dave",
        "description": "",
        "links": {"portal": f"https://app.codat.io/companies/{company['id']}/summary"},
        "tags": {"uid": "customer-1"},
    }
    sent, read = event["payload"]["connection"], dict(connection)
    assert sent.pop("linkUrl") != read.pop("linkUrl")
    assert sent == read


def test_initial_read_has_no_tags(codat: CodatServer, receiver: Receiver, company: Json, connection: Json) -> None:
    codat.state.link(company["id"], connection["id"])
    codat.wait_idle()

    payload = receiver.received[-1].event["payload"]

    assert "tags" not in payload["referenceCompany"]
    assert {row["connectionId"] for row in payload["dataTypes"]} == {connection["id"]}
    assert codat.state.connection(company["id"], connection["id"]).last_sync is not None


def test_initial_read_follows_each_authorisation(
    codat: CodatServer, receiver: Receiver, company: Json, connection: Json
) -> None:
    ids = company["id"], connection["id"]
    for _ in range(2):
        codat.state.link(*ids)
        codat.wait_idle()
        codat.state.revoke(*ids)
    codat.wait_idle()

    assert [t for t in receiver.types if t.startswith(("connection.c", "connection.r", "read."))] == [
        "connection.created",
        "connection.connected",
        "read.completed.initial",
        "connection.reconnected",
        "read.completed.initial",
    ]
    data_types = receiver.received[-2].event["payload"]["dataTypes"]
    assert {row["dataType"] for row in data_types} == {"chartOfAccounts", "suppliers", "bills", "invoices"}
    assert {(row["connectionId"], row["status"], len(row["issues"])) for row in data_types} == {
        (connection["id"], "Complete", 0)
    }


def test_initial_read_of_some_data_types_fails(
    codat: CodatServer, receiver: Receiver, company: Json, connection: Json
) -> None:
    ids = company["id"], connection["id"]
    assert not codat.state.finish_initial_read(*ids)
    codat.state.link(*ids)
    codat.wait_idle()

    assert codat.state.finish_initial_read(*ids, failed=("invoices",), failure_status="AuthError")
    codat.wait_idle()

    rows = {row["dataType"]: row for row in receiver.received[-1].event["payload"]["dataTypes"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "chartOfAccounts": "Complete",
        "suppliers": "Complete",
        "bills": "Complete",
        "invoices": "AuthError",
    }
    (issue,) = rows["invoices"]["issues"]
    assert "invoices could not be read from QuickBooks Online" in issue["message"]


def test_initial_read_without_data_is_not_a_sync(codat: CodatServer, receiver: Receiver, company: Json) -> None:
    bank = codat.state.create_connection(company["id"], "dfxm")
    codat.state.link(company["id"], bank.id)
    codat.wait_idle()
    bank.last_sync = None

    codat.state.finish_initial_read(company["id"], bank.id, failed=("banking-accounts", "banking-transactions"))
    codat.wait_idle()

    assert bank.last_sync is None
    assert {row["status"] for row in receiver.received[-1].event["payload"]["dataTypes"]} == {"FetchError"}


@pytest.mark.parametrize("wrong", [{"failed": ["invoice"]}, {"failed": ["bills"], "failure_status": "Complete"}])
def test_impossible_initial_read_is_rejected(
    codat: CodatServer, receiver: Receiver, company: Json, connection: Json, wrong: Json
) -> None:
    codat.state.link(company["id"], connection["id"])
    codat.wait_idle()

    with pytest.raises(ValueError, match="not "):
        codat.state.finish_initial_read(company["id"], connection["id"], **wrong)

    codat.wait_idle()
    assert receiver.types.count("read.completed.initial") == 1


def test_signature_is_standard(codat: CodatServer, receiver: Receiver, company: Json) -> None:
    """The Standard Webhooks library verifies it."""
    codat.wait_idle()
    (message,) = receiver.received

    verified = Webhook(WEBHOOK_SECRET).verify(message.body, message.headers)

    assert verified["payload"]["id"] == company["id"]
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER_SECRET).verify(message.body, message.headers)


def test_every_secret_signs_during_a_rotation(api: httpx.Client, codat: CodatServer, receiver: Receiver) -> None:
    codat.webhooks.secrets = (WEBHOOK_SECRET, OTHER_SECRET)
    api.post("/companies", json={"name": "Rotated"})
    codat.wait_idle()
    message = receiver.received[-1]

    for secret in (WEBHOOK_SECRET, OTHER_SECRET):
        Webhook(secret).verify(message.body, message.headers)


def test_rejected_message_is_retried_with_the_same_id(
    api: httpx.Client, codat: CodatServer, receiver: Receiver
) -> None:
    receiver.statuses.extend([500, 301, 404])
    api.post("/companies", json={"name": "Rejected"})
    codat.wait_idle()

    assert len({message.headers["webhook-id"] for message in receiver.received}) == 1
    assert len({message.body for message in receiver.received}) == 1
    (delivery,) = codat.webhooks.deliveries
    assert (delivery.statuses, delivery.state) == ([500, 301, 404, 204], "delivered")


def test_delivery_fails_after_eight_attempts(api: httpx.Client, codat: CodatServer) -> None:
    """Svix's schedule, a million times as fast."""
    codat.webhooks._retry_scale, scale = 1e-6, codat.webhooks._retry_scale
    codat.webhooks.register(Consumer(id=str(uuid4()), url="http://127.0.0.1:1/"))

    api.post("/companies", json={"name": "Unreachable"})
    codat.wait_idle()
    codat.webhooks._retry_scale = scale

    (delivery,) = codat.webhooks.deliveries
    assert (delivery.statuses, delivery.state) == (["unreachable"] * 8, "failed")


def test_consumer_gets_the_events_it_subscribes_to(api: httpx.Client, codat: CodatServer, receiver: Receiver) -> None:
    codat.webhooks.consumers.clear()
    body = {"url": receiver.url, "eventTypes": ["connection.created"], "companyTags": ["team:b", "team:a"]}
    api.post("/webhooks", json=body)
    api.post("/webhooks", json={"url": receiver.url, "disabled": True})

    for team in ("a", "c"):
        company = api.post("/companies", json={"name": f"Team {team}", "tags": {"team": team}}).json()
        api.post(f"/companies/{company['id']}/connections", json={"platformKey": "gbol"})
    codat.wait_idle()

    assert [(message.type, message.event["payload"]["referenceCompany"]["name"]) for message in receiver.received] == [
        ("connection.created", "Team a")
    ]


def test_reached_quota_is_reported_once(api: httpx.Client, codat: CodatServer, receiver: Receiver) -> None:
    codat.quota.limit = 0
    for _ in range(3):
        api.get("/companies")
    codat.wait_idle()

    (message,) = receiver.received
    assert message.type == "client.rateLimit.reached"
    assert message.event["payload"]["quotaRemaining"] == 0


def test_dates_increase_even_within_a_millisecond() -> None:
    """The texts are in order: rounding to milliseconds could reverse them."""
    dates, now = EventDates(), Clock().now()
    written = [dates.next(now) for _ in range(100)]

    padded = [date.removesuffix("Z").ljust(len("2024-08-08T17:10:34.0000000"), "0") for date in written]
    assert padded == sorted(set(padded))


def test_body_is_utf8(api: httpx.Client, codat: CodatServer, receiver: Receiver) -> None:
    api.post("/companies", json={"name": "Cafe", "description": "Café, 咖啡"})
    codat.wait_idle()

    assert "Café, 咖啡".encode() in receiver.received[0].body
    assert json.loads(receiver.received[0].body)["payload"]["description"] == "Café, 咖啡"
