"""`make webhook-consumer`: one consumer with the right event types, and its secret, whatever was there before."""

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
    """Each with its seconds, and how many consumers and which secrets there were."""
    seen: list[tuple[float, int, str]] = []

    def wait(seconds: float) -> None:
        seen.append((seconds, len(operator.consumers()), operator.raw))

    monkeypatch.setattr(webhook_consumer, "sleep", wait)
    return seen


def consumer(operator: Operator, name: str, **differing: object) -> Consumer:
    about = {"url": operator.environment["WEBHOOK_URL"], "event_types": tuple(EVENT_TYPES), **differing}
    return operator.app.codat.webhooks.register(Consumer(id=name, **about))  # type: ignore[arg-type]


def test_the_event_types_are_those_that_change_something() -> None:
    """Each that is parsed as more than an envelope, and no other."""
    events = [parse_event(path.read_bytes(), clock.now()) for path in (ROOT / "events" / "webhooks").iterdir()]
    assert {event.event_type for event in events if type(event) is not Event} == EVENT_TYPES


def test_a_first_set_up_asks_for_both_secrets_and_a_repeat_for_none(operator: Operator) -> None:
    """Everything else in the secret stays."""
    operator.app.codat.webhooks.consumers.clear()
    consumer(operator, "anothers", url="https://another.example/", event_types=("company.updated",))
    operator.store({"apiKey": "", "webhookSecrets": [], "owner": {"team": 1}})
    new = new_webhook_secret()
    status, shown = operator.run("webhook-consumer", f" {API_KEY}\n", new)
    assert (status, operator.stored) == (0, {"apiKey": API_KEY, "webhookSecrets": [new], "owner": {"team": 1}})
    assert "Settings > Webhooks" in shown
    first = operator.consumers()
    assert list(first.values()) == [{"company.updated"}, EVENT_TYPES]
    operator.app.codat.webhooks.secrets = (new,)
    assert operator.app.linked(operator.app.customer()["customerId"])["status"] == "Linked"
    before = operator.raw
    status, shown = operator.run("webhook-consumer")
    assert (status, operator.raw, operator.consumers()) == (0, before, first)
    assert "registered already" in shown


@pytest.mark.parametrize("differing", [{"event_types": ()}, {"company_tags": ("env:prod",)}], ids=str)
def test_a_wrong_consumer_goes_once_the_right_one_is_heard(
    operator: Operator, waits: list[tuple[float, int, str]], differing: dict[str, object]
) -> None:
    """Until every function knows the new secret there are both."""
    operator.app.codat.webhooks.consumers.clear()
    consumer(operator, "wrong", **differing)
    consumer(operator, "anothers", url="https://another.example/", **differing)
    new = new_webhook_secret()
    assert operator.run("webhook-consumer", new)[0] == 0
    assert waits == [(60, 3, operator.raw)]
    assert operator.stored["webhookSecrets"][-1] == new
    left = operator.consumers()
    assert (len(left), "anothers" in left, "wrong" in left) == (2, True, False)
    assert operator.run("webhook-consumer")[0] == 0
    assert operator.consumers() == left


def test_what_was_interrupted_goes_on(operator: Operator, waits: list[tuple[float, int, str]]) -> None:
    """Two consumers with the URL: the right one stays, and its secret is asked for again."""
    operator.app.codat.webhooks.consumers.clear()
    consumer(operator, "wrong", event_types=("connection.created",))
    status, shown = operator.run("webhook-consumer")
    assert (status, len(operator.consumers()), waits) == (1, 2, [])
    assert shown.endswith("repeat it at any time.\n")
    stored = operator.stored["webhookSecrets"]
    assert operator.run("webhook-consumer", stored[0])[0] == 0
    assert list(operator.consumers().values()) == [EVENT_TYPES]
    assert operator.stored["webhookSecrets"] == stored


def test_a_key_that_codat_refuses_is_not_stored(operator: Operator) -> None:
    """Nor is anything registered."""
    operator.app.codat.webhooks.consumers.clear()
    operator.store({"apiKey": "", "webhookSecrets": []})
    status, shown = operator.run("webhook-consumer", "the-wrong-key")
    assert (status, operator.stored["apiKey"], operator.consumers()) == (1, "", {})
    assert "Codat answered 401" in shown


def test_a_lost_answer_makes_no_second_consumer(operator: Operator, codat_wire: Proxy) -> None:
    """The repeat finds it."""
    operator.app.codat.webhooks.consumers.clear()
    operator.environment["CODAT_BASE_URL"] = codat_wire.url
    codat_wire.next(lambda exchange: exchange.answer(exchange.forward()), lost)
    status, shown = operator.run("webhook-consumer")
    assert (status, shown) == (1, "The connection to Codat broke.\n")
    assert operator.run("webhook-consumer")[0] == 0
    assert len(operator.consumers()) == 1


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda operator: consumer(operator, "disabled", disabled=True), "Enable it"),
        (
            lambda operator: [consumer(operator, str(n), url="https://another.example/") for n in range(50)],
            "Delete one",
        ),
        (lambda operator: operator.environment.update(WEBHOOK_URL="https://api.example"), "WEBHOOK_URL must"),
        (lambda operator: operator.environment.update(CODAT_BASE_URL="http://api.codat.io"), "CODAT_BASE_URL must"),
        (lambda operator: operator.environment.update(SECRET_ARN=""), "STACK="),
        (lambda operator: operator.store({"apiKey": "revoked-key", "webhookSecrets": []}), "Codat answered 401"),
    ],
    ids=["disabled", "fifty", "webhook-url", "codat-url", "no-stack", "revoked-key"],
)
def test_what_stands_in_the_way_is_said_and_nothing_is_changed(
    operator: Operator, prepare: Callable[[Operator], object], said: str
) -> None:
    """In one line."""
    operator.app.codat.webhooks.consumers.clear()
    prepare(operator)
    before, stored = operator.consumers(), operator.raw
    status, shown = operator.run("webhook-consumer")
    assert (status, shown.count("\n"), operator.consumers(), operator.raw) == (1, 1, before, stored)
    assert said in shown
