"""`make webhook-consumer` leaves one consumer with the correct event types, and stores its signing secret."""

import json
from collections.abc import Callable

import pytest
from codat_simulator.models import Consumer

from cli import webhook_consumer
from local.settings import new_webhook_secret
from shared.codat.webhook_events import parse_event
from shared.domain.events import EVENT_TYPES, Event
from shared.runtime import clock
from tests.e2e.docs.markdown import ROOT
from tests.integration.cli.conftest import Operator
from tests.integration.faults.proxy import Proxy, lost

API_KEY = "test-api-key-that-must-never-be-logged"


@pytest.fixture
def waits(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int, str]]:
    """Record each wait instead of waiting: its seconds, the number of consumers then, and the secret then."""
    waits: list[tuple[float, int, str]] = []

    def wait(seconds: float) -> None:
        waits.append((seconds, len(operator.consumers()), operator.raw_secret))

    monkeypatch.setattr(webhook_consumer, "sleep", wait)
    return waits


def register(operator: Operator, name: str, **differing: object) -> Consumer:
    """Register a correct consumer at Codat, except for the fields in `differing`."""
    fields = {"url": operator.environment["WEBHOOK_URL"], "event_types": tuple(EVENT_TYPES), **differing}
    return operator.app.codat.webhooks.register(Consumer(id=name, **fields))  # type: ignore[arg-type]


def test_the_event_types_are_those_that_change_the_state() -> None:
    """Subscribe to the event types that are parsed as more than an envelope, and to no others."""
    events = [parse_event(path.read_bytes(), clock.now()) for path in (ROOT / "events" / "webhooks").iterdir()]
    assert {event.event_type for event in events if type(event) is not Event} == EVENT_TYPES


def test_the_first_run_asks_for_both_secrets_and_the_second_for_none(operator: Operator) -> None:
    """GIVEN an empty secret with a field of its owner THEN both secrets are stored and the field stays."""
    operator.app.codat.webhooks.consumers.clear()
    register(operator, "anothers", url="https://another.example/", event_types=("company.updated",))
    operator.store_secret({"apiKey": "", "webhookSecrets": [], "owner": {"team": 1}})
    new = new_webhook_secret()
    status, output = operator.run("webhook-consumer", f" {API_KEY}\n", new)
    log_key = json.loads(operator.raw_secret)["logKey"]
    assert len(log_key) > 32
    assert (status, operator.stored_secret) == (0, {"apiKey": API_KEY, "webhookSecrets": [new], "owner": {"team": 1}})
    assert "Settings > Webhooks" in output
    first = operator.consumers()
    assert list(first.values()) == [{"company.updated"}, EVENT_TYPES]
    operator.app.codat.webhooks.secrets = (new,)
    assert operator.app.linked(operator.app.customer()["customerId"])["status"] == "Linked"
    before = operator.raw_secret
    status, output = operator.run("webhook-consumer")
    assert (status, operator.raw_secret, operator.consumers()) == (0, before, first)
    assert "registered already" in output


@pytest.mark.parametrize("differing", [{"event_types": ()}, {"company_tags": ("env:prod",)}], ids=str)
def test_an_incorrect_consumer_is_deleted_after_the_correct_is_accepted(
    operator: Operator, waits: list[tuple[float, int, str]], differing: dict[str, object]
) -> None:
    """GIVEN an incorrect consumer THEN it stays until every function accepts the new secret; other URLs stay."""
    operator.app.codat.webhooks.consumers.clear()
    register(operator, "incorrect", **differing)
    register(operator, "anothers", url="https://another.example/", **differing)
    new = new_webhook_secret()
    assert operator.run("webhook-consumer", new)[0] == 0
    assert waits == [(60, 3, operator.raw_secret)]
    assert operator.stored_secret["webhookSecrets"][-1] == new
    remaining = operator.consumers()
    assert (len(remaining), "anothers" in remaining, "incorrect" in remaining) == (2, True, False)
    assert operator.run("webhook-consumer")[0] == 0
    assert operator.consumers() == remaining


def test_an_interrupted_command_is_repeated(operator: Operator, waits: list[tuple[float, int, str]]) -> None:
    """GIVEN two consumers with the URL THEN the correct consumer stays, and the command asks for its secret again."""
    operator.app.codat.webhooks.consumers.clear()
    register(operator, "incorrect", event_types=("connection.created",))
    status, output = operator.run("webhook-consumer")
    assert (status, len(operator.consumers()), waits) == (1, 2, [])
    assert output.endswith("You can repeat the command at any time.\n")
    stored = operator.stored_secret["webhookSecrets"]
    assert operator.run("webhook-consumer", stored[0])[0] == 0
    assert list(operator.consumers().values()) == [EVENT_TYPES]
    assert operator.stored_secret["webhookSecrets"] == stored


def test_a_rejected_key_is_not_stored(operator: Operator) -> None:
    """GIVEN an API key that Codat rejects THEN it is not stored, and no consumer is registered."""
    operator.app.codat.webhooks.consumers.clear()
    operator.store_secret({"apiKey": "", "webhookSecrets": []})
    status, output = operator.run("webhook-consumer", "the-wrong-key")
    assert (status, operator.stored_secret["apiKey"], operator.consumers()) == (1, "", {})
    assert "Codat answered 401" in output


def test_a_lost_response_leads_to_no_second_consumer(operator: Operator, codat_wire: Proxy) -> None:
    """GIVEN a registration whose response was lost THEN the second run uses the registered consumer."""
    operator.app.codat.webhooks.consumers.clear()
    operator.environment["CODAT_BASE_URL"] = codat_wire.url
    codat_wire.next(lambda exchange: exchange.answer(exchange.forward()), lost)
    status, output = operator.run("webhook-consumer")
    assert (status, output) == (1, "The connection to Codat broke. Repeat the command.\n")
    assert operator.run("webhook-consumer")[0] == 0
    assert len(operator.consumers()) == 1


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda operator: register(operator, "disabled", disabled=True), "Enable it"),
        (
            lambda operator: [register(operator, str(n), url="https://another.example/") for n in range(50)],
            "Delete one",
        ),
        (lambda operator: operator.store_secret({"apiKey": "revoked-key", "webhookSecrets": []}), "Codat answered 401"),
    ],
    ids=["disabled", "fifty", "revoked-key"],
)
def test_an_obstacle_is_reported_and_nothing_is_changed(
    operator: Operator, prepare: Callable[[Operator], object], message: str
) -> None:
    """GIVEN an obstacle THEN the error is one line that says what to do; the consumers and the secret stay."""
    operator.app.codat.webhooks.consumers.clear()
    prepare(operator)
    before, stored = operator.consumers(), operator.raw_secret
    status, output = operator.run("webhook-consumer")
    assert (status, output.count("\n"), operator.consumers(), operator.raw_secret) == (1, 1, before, stored)
    assert message in output
