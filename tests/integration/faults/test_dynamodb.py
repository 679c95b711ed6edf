"""GIVEN a DynamoDB that throttles or doesn't answer THEN handlers return 503 well within Codat's 15 s."""

import importlib
import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.concurrently import concurrently
from tests.conftest import App
from tests.integration.faults.context import Context
from tests.integration.faults.proxy import Behaviour, Exchange, Proxy, dropped, passed_on, responds, silent
from tests.properties.crashes.test_crashes import SCENES, Scene, creating_a_company, webhook_company_deleted

CODAT_WEBHOOK_TIMEOUT = 15.0

THROTTLED = responds(400, {"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"})
CONFLICT = responds(
    400,
    {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
    },
)


def call(scene: Scene) -> tuple[int, Any, float]:
    started = time.monotonic()
    answer = importlib.import_module(scene.handler).handler(scene.event, Context())
    body = json.loads(answer["body"]) if answer["body"] else {}
    return answer["statusCode"], body.get("type"), time.monotonic() - started


@pytest.fixture
def scenes(app: App, dynamodb_wire: Proxy) -> Iterator[list[Scene]]:  # noqa: ARG001  # the proxy must exist first
    yield [scene_of(app) for scene_of in SCENES]
    app.codat.wait_idle()


@pytest.mark.parametrize("behaviour", [THROTTLED, dropped, silent], ids=["throttled", "dropped", "silent"])
def test_every_call_fails_in_time_and_completes_when_repeated(
    app: App, dynamodb_wire: Proxy, scenes: list[Scene], behaviour: Behaviour
) -> None:
    """After a 5xx Codat sends a webhook again, and a caller repeats the call."""
    app.codat.wait_idle()
    dynamodb_wire.always(behaviour)
    for status, problem, seconds in concurrently(*(partial(call, scene) for scene in scenes)):
        assert (status, problem) == (503, "store-unavailable")
        assert seconds < CODAT_WEBHOOK_TIMEOUT - 5
    dynamodb_wire.heal()
    for scene in scenes:
        assert call(scene)[0] in scene.done


def test_retries_of_many_throttled_operations_end_before_codats_timeout(
    app: App, dynamodb_wire: Proxy, scenes: list[Scene]
) -> None:
    """GIVEN operations that each succeed after 2.5 s WHEN together they would exceed Codat's timeout THEN 503."""
    app.codat.wait_idle()
    started: dict[tuple[str, bytes], float] = {}

    def throttled_at_first(exchange: Exchange) -> None:
        first = started.setdefault((exchange.operation, exchange.body), time.monotonic())
        (THROTTLED if time.monotonic() - first < 2.5 else passed_on)(exchange)

    dynamodb_wire.always(throttled_at_first)
    scene = scenes[SCENES.index(webhook_company_deleted)]
    status, problem, seconds = call(scene)
    assert (status, problem) == (503, "store-unavailable")
    assert seconds < CODAT_WEBHOOK_TIMEOUT - 3
    dynamodb_wire.heal()
    assert call(scene)[0] in scene.done
    scene.holds()


def test_a_customer_that_is_deleted_during_its_creation_is_returned_as_created(app: App, dynamodb_wire: Proxy) -> None:
    """It was created, so the answer is 201 and not 404."""
    scene = creating_a_company(app)
    customer_id = json.loads(scene.event["body"])["customerId"]
    app.customer()

    def deleted_meanwhile(exchange: Exchange) -> None:
        stored = exchange.forward()
        if exchange.operation == "TransactWriteItems":
            dynamodb_wire.heal()
            assert app.http.delete(f"/customers/{customer_id}").status_code == 204
        exchange.answer(stored)

    dynamodb_wire.always(deleted_meanwhile)
    assert call(scene)[0] == 201
    assert app.items(f"CUSTOMER#{customer_id}") == []


def writes_fail(exchange: Exchange) -> None:
    """Fail writes and forward reads."""
    behaviours = {"TransactWriteItems": CONFLICT, "PutItem": THROTTLED, "DeleteItem": THROTTLED}
    behaviours.get(exchange.operation, passed_on)(exchange)


def test_a_failed_write_is_never_answered_2xx(app: App, dynamodb_wire: Proxy, scenes: list[Scene]) -> None:
    app.codat.wait_idle()
    dynamodb_wire.always(writes_fail)
    for status, problem, seconds in concurrently(*(partial(call, scene) for scene in scenes)):
        assert (status, problem) == (503, "store-unavailable")
        assert seconds < CODAT_WEBHOOK_TIMEOUT - 3
    dynamodb_wire.heal()
    for scene in scenes:
        status, problem, _ = call(scene)
        assert status in scene.done or problem == "creation-in-progress"
