"""Faults fire exactly as configured."""

import time
from typing import Any

import httpx
import pytest
from codat_simulator.faults import Fault, Faults
from codat_simulator.server import CodatServer
from codat_simulator.settings import WEBHOOK_SECRET
from pydantic import ValidationError
from receiver import Receiver
from standardwebhooks import Webhook, WebhookVerificationError

Json = dict[str, Any]

KEY = {"Idempotency-Key": "6f1c9a3e-93d1-4a39-9f7e-2f2b4d3c5a10"}


def create(api: httpx.Client, headers: dict[str, str] | None = None) -> httpx.Response:
    return api.post("/companies", json={"name": "Faulty"}, headers=headers)


@pytest.mark.parametrize(("when", "companies"), [("before", 0), ("after", 1)])
def test_status_fault(api: httpx.Client, codat: CodatServer, when: str, companies: int) -> None:
    codat.faults.add(Fault.model_validate({"kind": "status", "status": 500, "when": when, "times": 1}))

    assert create(api).status_code == 500
    assert len(codat.state.companies()) == companies


def test_status_fault_without_correlation_id(api: httpx.Client, codat: CodatServer) -> None:
    codat.faults.add(Fault(kind="status", status=500, omit_correlation_id=True, times=1))

    document = create(api).json()

    assert "correlationId" not in document
    assert document["statusCode"] == 500


@pytest.mark.parametrize(("when", "companies"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(("status", "title"), [(502, "502 Bad Gateway"), (599, "599 Error")])
def test_status_fault_as_the_page_of_a_gateway(
    api: httpx.Client, codat: CodatServer, *, status: int, title: str, when: str, companies: int
) -> None:
    """A gateway has no idempotency cache: the retry gets Codat's own response."""
    fault = {"kind": "status", "status": status, "when": when, "page": True, "cached": False, "times": 1}
    codat.faults.add(Fault.model_validate({**fault, "retryAfter": 7}))

    page = create(api, KEY)

    assert (page.status_code, page.headers["Content-Type"]) == (status, "text/html")
    assert page.headers["Retry-After"] == "7"
    assert f"<title>{title}</title>" in page.text
    assert len(codat.state.companies()) == companies
    assert create(api, KEY).status_code == 200
    assert len(codat.state.companies()) == 1


@pytest.mark.parametrize(("when", "companies"), [("before", 0), ("after", 1)])
def test_dropped_connection(api: httpx.Client, codat: CodatServer, when: str, companies: int) -> None:
    """The connection is closed without a response."""
    codat.faults.add(Fault.model_validate({"kind": "drop", "when": when, "times": 1}))

    with pytest.raises(httpx.RemoteProtocolError):
        create(api, KEY)

    assert len(codat.state.companies()) == companies
    assert codat.calls.list()[0].status is None
    assert create(api, KEY).status_code == 200
    assert len(codat.state.companies()) == 1


def test_dropped_connection_leaves_no_trace_in_the_log(
    api: httpx.Client, codat: CodatServer, caplog: pytest.LogCaptureFixture
) -> None:
    codat.faults.add(Fault(kind="drop", times=1))
    with pytest.raises(httpx.RemoteProtocolError):
        create(api)

    assert create(api).status_code == 200
    assert caplog.records == []


def test_latency(api: httpx.Client, codat: CodatServer) -> None:
    codat.faults.add(Fault(kind="latency", when="after", seconds=0.1, times=1))
    start = time.monotonic()

    assert create(api).status_code == 200
    assert time.monotonic() - start >= 0.1


def test_fault_matches_method_and_path(api: httpx.Client, codat: CodatServer, company: Json) -> None:
    codat.faults.add(Fault(kind="status", method="post", path="/companies/*/connections"))
    path = f"/companies/{company['id']}/connections"

    assert api.get(path).status_code == 200
    assert create(api).status_code == 200
    assert api.post(path, json={"platformKey": "gbol"}).status_code == 503


def test_times_and_skip(api: httpx.Client, codat: CodatServer) -> None:
    fault_id = codat.faults.add(Fault(kind="status", skip=1, times=2))

    assert [create(api).status_code for _ in range(5)] == [200, 503, 503, 200, 200]
    assert codat.faults.fired(fault_id) == 2


def test_probability_is_reproducible() -> None:
    def run(seed: int) -> list[bool]:
        faults = Faults()
        faults.add(Fault(kind="status", probability=0.5, seed=seed))
        return [faults.for_call("status", "before", "GET", "/") is not None for _ in range(50)]

    assert run(1) == run(1) != run(2)
    assert 10 < sum(run(1)) < 40


def test_replayed_response_has_only_faults_of_the_network(api: httpx.Client, codat: CodatServer) -> None:
    """The handler doesn't run again, but the network can still lose the response."""
    first = create(api, KEY)
    codat.faults.add(Fault(kind="status", status=500))

    assert create(api, KEY).content == first.content

    codat.faults.add(Fault(kind="drop", when="after"))
    with pytest.raises(httpx.RemoteProtocolError):
        create(api, KEY)


def test_webhook_is_dropped(api: httpx.Client, codat: CodatServer, receiver: Receiver) -> None:
    codat.faults.add(Fault(kind="webhook-drop", event_type="company.*", times=1))
    create(api)
    create(api)
    codat.wait_idle()

    assert [delivery.state for delivery in codat.webhooks.deliveries] == ["dropped", "delivered"]
    assert len(receiver.received) == 1


def test_webhook_delayed(api: httpx.Client, codat: CodatServer, receiver: Receiver) -> None:
    codat.faults.add(Fault(kind="webhook-delay", seconds=0.1))
    start = time.monotonic()
    create(api)
    codat.wait_idle()

    assert len(receiver.received) == 1
    assert time.monotonic() - start >= 0.1


@pytest.mark.parametrize(("options", "ids"), [({}, 1), ({"newMessage": True}, 2)])
def test_webhook_twice(api: httpx.Client, codat: CodatServer, receiver: Receiver, options: Json, ids: int) -> None:
    codat.faults.add(Fault.model_validate({"kind": "webhook-duplicate", "times": 1, **options}))
    create(api)
    codat.wait_idle()

    assert len(receiver.received) == 2
    assert len({message.body for message in receiver.received}) == 1
    assert len({message.headers["webhook-id"] for message in receiver.received}) == ids


def test_webhook_overtaken(api: httpx.Client, codat: CodatServer, receiver: Receiver, company: Json) -> None:
    codat.faults.add(Fault(kind="webhook-reorder", event_type="connection.created", seconds=5))
    connection = api.post(f"/companies/{company['id']}/connections", json={"platformKey": "gbol"}).json()
    codat.state.cancel(company["id"], connection["id"])
    codat.wait_idle()

    assert sorted(receiver.types[1:]) == ["connection.created", "connection.failed"]
    assert receiver.types.index("connection.failed") < receiver.types.index("connection.created")


def test_webhook_that_no_other_overtakes_is_sent(api: httpx.Client, codat: CodatServer, receiver: Receiver) -> None:
    codat.faults.add(Fault(kind="webhook-reorder", seconds=0.05))
    create(api)
    codat.wait_idle()

    assert receiver.types == ["company.created"]


def test_webhook_signed_with_another_secret(api: httpx.Client, codat: CodatServer, receiver: Receiver) -> None:
    """The next attempt has the right signature."""
    codat.faults.add(Fault(kind="webhook-wrong-secret", times=1))
    receiver.statuses.append(401)
    create(api)
    codat.wait_idle()

    wrong, right = receiver.received
    with pytest.raises(WebhookVerificationError):
        Webhook(WEBHOOK_SECRET).verify(wrong.body, wrong.headers)
    Webhook(WEBHOOK_SECRET).verify(right.body, right.headers)


def test_fault_is_parsed() -> None:
    fault = Fault.from_words("kind=status, status=500, when=after, path=/companies, times=2, cached=false, page=true")

    assert (fault.kind, fault.status, fault.when, fault.times) == ("status", 500, "after", 2)
    assert (fault.cached, fault.page, fault.omit_correlation_id) == (False, True, False)


@pytest.mark.parametrize("words", ["status", "kind=earthquake", "kind=drop,colour=red", "kind=drop,times=0"])
def test_malformed_fault_is_rejected(words: str) -> None:
    with pytest.raises((ValueError, ValidationError)):
        Fault.from_words(words)
