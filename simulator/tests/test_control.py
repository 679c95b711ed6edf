"""The control routes."""

import json
from typing import Any

import httpx
import pytest
from codat_simulator.faults import Fault
from codat_simulator.server import CodatServer
from receiver import Receiver
from standardwebhooks import Webhook, WebhookVerificationError

Json = dict[str, Any]

SECRET = "whsec_b3RoZXItc2VjcmV0LW9mLXRoZS10ZXN0cw=="  # pragma: allowlist secret


def test_connection_changes_its_status(api: httpx.Client, company: Json, connection: Json) -> None:
    path = f"/_control/companies/{company['id']}/connections/{connection['id']}"

    assert api.post(f"{path}/revoke").status_code == 409
    assert api.post(f"{path}/cancel").json()["status"] == "PendingAuth"
    assert api.post(f"{path}/authorize").json()["status"] == "Linked"
    assert api.post(f"{path}/revoke").json()["status"] == "Deauthorized"
    assert api.post(f"{path}/smile").status_code == 404


def test_forged_webhook_is_sent_once_with_a_wrong_signature(
    api: httpx.Client, codat: CodatServer, receiver: Receiver, company: Json, connection: Json
) -> None:
    codat.wait_idle()
    receiver.statuses.append(401)
    path = f"/_control/companies/{company['id']}/connections/{connection['id']}/forge"

    assert api.post(path).json()["status"] == "PendingAuth"
    codat.wait_idle()

    forged = [message for message in receiver.received if message.type == "connection.deleted"]
    assert len(forged) == 1
    with pytest.raises(WebhookVerificationError):
        Webhook(codat.webhooks.secrets[0]).verify(forged[0].body, forged[0].headers)
    assert api.get(f"/companies/{company['id']}/connections/{connection['id']}").status_code == 200


def test_link_is_opened_and_the_browser_closed(
    api: httpx.Client, codat: CodatServer, receiver: Receiver, company: Json, connection: Json
) -> None:
    codat.wait_idle()
    messages = len(receiver.received)

    opened = [api.post("/_control/open-link", json={"url": connection["linkUrl"]}).status_code for _ in range(2)]
    codat.wait_idle()

    assert opened == [204, 410]
    assert len(receiver.received) == messages
    read = api.get(f"/companies/{company['id']}/connections/{connection['id']}").json()
    assert read["status"] == "PendingAuth"
    assert "dataConnectionErrors" not in read


def test_calls_are_observed_with_their_bodies(api: httpx.Client, codat: CodatServer) -> None:
    seen: list[tuple[Any, ...]] = []
    codat.observe_call = lambda call, seconds, request, response: seen.append((call, seconds, request, response))
    codat.faults.add(Fault(kind="drop", path="/profile"))

    api.post("/companies", json={"name": "Observed"})
    with pytest.raises(httpx.TransportError):
        api.get("/profile")

    (created, seconds, request, response), (dropped, *_) = seen
    assert (created.method, created.path, created.status) == ("POST", "/companies", 200)
    assert json.loads(request) == {"name": "Observed"}
    assert json.loads(response)["name"] == "Observed"
    assert 0 < seconds < 10
    assert (dropped.path, dropped.status) == ("/profile", None)


def test_faults_of_webhooks_are_observed(api: httpx.Client, codat: CodatServer, receiver: Receiver) -> None:
    seen: list[tuple[str, str]] = []
    codat.webhooks.observe_fault = lambda delivery, kind: seen.append((delivery.event_type, kind))
    codat.faults.add(Fault(kind="webhook-drop", times=1))

    for name in ("Lost", "Delivered"):
        api.post("/companies", json={"name": name})
    codat.wait_idle()

    assert seen == [("company.created", "webhook-drop")]
    assert len(receiver.received) == 1


def test_initial_read_is_sent(
    api: httpx.Client, codat: CodatServer, receiver: Receiver, company: Json, connection: Json
) -> None:
    path = f"/_control/companies/{company['id']}/connections/{connection['id']}/read"
    assert api.post(path).status_code == 409
    codat.state.link(company["id"], connection["id"])
    codat.wait_idle()

    body = {"failed": ["bills"], "status": "MapError"}
    assert api.post(path, json=body).json()["status"] == "Linked"
    codat.wait_idle()

    rows = receiver.received[-1].event["payload"]["dataTypes"]
    assert [row["dataType"] for row in rows if row["status"] == "MapError"] == ["bills"]
    assert api.post(path.replace(connection["id"], company["id"])).status_code == 404


@pytest.mark.parametrize("body", [{"failed": "bills"}, {"failed": [1]}, {"failed": ["x"]}, {"status": 1}])
def test_impossible_initial_read_is_rejected(
    api: httpx.Client, codat: CodatServer, company: Json, connection: Json, body: Json
) -> None:
    codat.state.link(company["id"], connection["id"])

    path = f"/_control/companies/{company['id']}/connections/{connection['id']}/read"
    assert api.post(path, json=body).status_code == 400


def test_settings_are_changed_separately(api: httpx.Client) -> None:
    assert api.get("/_control/settings").json() == {"listLag": 0.0, "oneTimeLinks": True, "omitIntegrationKey": False}

    api.patch("/_control/settings", json={"listLag": 2.5})
    api.patch("/_control/settings", json={"oneTimeLinks": False})
    changed = api.patch("/_control/settings", json={"omitIntegrationKey": True}).json()

    assert changed == {"listLag": 2.5, "oneTimeLinks": False, "omitIntegrationKey": True}
    api.post("/_control/reset")
    assert api.get("/_control/settings").json() == {"listLag": 0.0, "oneTimeLinks": True, "omitIntegrationKey": False}


@pytest.mark.parametrize("body", ['{"listLag": -1}', '{"listLag": NaN}', '{"listLag": "1"}', '{"colour": 1}', "{"])
def test_impossible_settings_are_rejected(api: httpx.Client, body: str) -> None:
    assert api.patch("/_control/settings", content=body).status_code == 400


def test_faults_are_added_and_removed(api: httpx.Client) -> None:
    fault = {"kind": "status", "status": 500, "path": "/companies"}
    added = api.post("/_control/faults", json=fault)
    assert added.status_code == 201
    assert api.get("/companies").status_code == 500

    (listed,) = api.get("/_control/faults").json()["results"]
    assert (listed["id"], listed["fired"]) == (added.json()["id"], 1)
    assert api.delete(f"/_control/faults/{listed['id']}").status_code == 204
    assert api.delete(f"/_control/faults/{listed['id']}").status_code == 404
    assert api.get("/companies").status_code == 200

    api.post("/_control/faults", json=fault)
    assert api.delete("/_control/faults").status_code == 204
    assert api.get("/companies").status_code == 200
    assert api.post("/_control/faults", json={"kind": "earthquake"}).status_code == 400


def test_deliveries_and_calls_are_listed(api: httpx.Client, receiver: Receiver) -> None:
    for status in (500, 204):
        receiver.statuses.append(status)
        api.post("/companies", json={"name": "Retried"})
        assert api.get("/_control/idle").status_code == 200

    entries = api.get("/_control/deliveries").json()["results"]

    assert [entry["statuses"] for entry in entries] == [[500, 204], [204]]
    assert {entry["eventType"] for entry in entries} == {"company.created"}
    assert [call["method"] for call in api.get("/_control/calls").json()["results"]] == ["POST", "POST"]


def test_wait_ends_at_the_timeout(api: httpx.Client, receiver: Receiver) -> None:
    receiver.statuses.extend([500] * 8)
    api.post("/companies", json={"name": "Rejected"})

    response = api.get("/_control/idle", params={"timeout": "0.05"})

    assert (response.status_code, response.json()) == (504, {"pending": 1})
    assert api.get("/_control/idle", params={"timeout": "soon"}).status_code == 400


def test_clock_and_secrets(api: httpx.Client, codat: CodatServer) -> None:
    before = codat.clock.now()
    assert api.post("/_control/clock", json={"advanceSeconds": 60}).status_code == 200
    assert (codat.clock.now() - before).total_seconds() >= 60
    assert api.post("/_control/clock", content="{").status_code == 400

    assert api.put("/_control/webhook-secrets", json={"secrets": [SECRET]}).status_code == 204
    assert codat.webhooks.secrets == (SECRET,)
    assert api.put("/_control/webhook-secrets", json={"secrets": ["whsec_YWJj"]}).status_code == 400


@pytest.mark.usefixtures("connection")
def test_reset_restores_the_state_of_the_start(api: httpx.Client, codat: CodatServer) -> None:
    api.post("/_control/faults", json={"kind": "status", "path": "/webhooks"})

    assert api.post("/_control/reset").status_code == 204

    assert api.get("/companies").json()["totalResults"] == 0
    assert api.get("/webhooks").json() == {"results": []}
    assert codat.calls.count() == 2


@pytest.mark.parametrize("seconds", ["1e30", "NaN", "Infinity", "-1e30", '"x"'])
def test_absurd_durations_are_rejected(api: httpx.Client, seconds: str) -> None:
    headers = {"content-type": "application/json"}
    clock = api.post("/_control/clock", content=f'{{"advanceSeconds": {seconds}}}', headers=headers)
    assert clock.status_code == 400
    fault = api.post("/_control/faults", content=f'{{"kind": "latency", "seconds": {seconds}}}', headers=headers)
    assert fault.status_code == 400
