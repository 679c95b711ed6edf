"""DynamoDB throttled, silent or gone: 503 well within Codat's 15 s, and nothing lost."""

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
from tests.properties.crashes.test_crashes import SCENES, Scene, creating_a_company

CODAT_WAITS = 15.0

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
def scenes(app: App, dynamodb_wire: Proxy) -> Iterator[list[Scene]]:  # noqa: ARG001  # the wire must be there first
    yield [scene_of(app) for scene_of in SCENES]
    app.codat.wait_idle()


@pytest.mark.parametrize("behaviour", [THROTTLED, dropped, silent], ids=["throttled", "dropped", "silent"])
def test_every_call_is_told_so_in_time_and_completes_later(
    app: App, dynamodb_wire: Proxy, scenes: list[Scene], behaviour: Behaviour
) -> None:
    """5xx makes Codat send a webhook again, and a caller repeat the call."""
    app.codat.wait_idle()
    dynamodb_wire.always(behaviour)
    for status, problem, seconds in concurrently(*(partial(call, scene) for scene in scenes)):
        assert (status, problem) == (503, "store-unavailable")
        assert seconds < CODAT_WAITS - 5
    dynamodb_wire.heal()
    for scene in scenes:
        assert call(scene)[0] in scene.done


def test_many_operations_that_are_throttled_each_stay_within_codats_patience(
    app: App, dynamodb_wire: Proxy, scenes: list[Scene]
) -> None:
    """Each is taken after a while; all of them together would outlast Codat, who is told to come again."""
    app.codat.wait_idle()
    began: dict[tuple[str, bytes], float] = {}

    def slowly(exchange: Exchange) -> None:
        first = began.setdefault((exchange.operation, exchange.body), time.monotonic())
        (THROTTLED if time.monotonic() - first < 2.5 else passed_on)(exchange)

    dynamodb_wire.always(slowly)
    [scene] = [scene for scene, scene_of in zip(scenes, SCENES, strict=True) if "deleted_company" in scene_of.__name__]
    status, problem, seconds = call(scene)
    assert (status, problem) == (503, "store-unavailable")
    assert seconds < CODAT_WAITS - 3
    dynamodb_wire.heal()
    assert call(scene)[0] in scene.done
    scene.holds()


def test_a_customer_that_is_deleted_while_its_creation_is_answered(app: App, dynamodb_wire: Proxy) -> None:
    """It was created: a route that creates never says that there is no such customer."""
    scene = creating_a_company(app)
    customer_id = json.loads(scene.event["body"])["customerId"]
    app.customer()

    def deleted_meanwhile(exchange: Exchange) -> None:
        if exchange.operation == "Query":
            dynamodb_wire.heal()
            assert app.http.delete(f"/customers/{customer_id}").status_code == 204
        passed_on(exchange)

    dynamodb_wire.always(deleted_meanwhile)
    assert call(scene)[0] == 201
    assert app.items(f"CUSTOMER#{customer_id}") == []


def unwritable(exchange: Exchange) -> None:
    """Reading works."""
    behaviours = {"TransactWriteItems": CONFLICT, "PutItem": THROTTLED, "DeleteItem": THROTTLED}
    behaviours.get(exchange.operation, passed_on)(exchange)


def test_no_2xx_without_a_write(app: App, dynamodb_wire: Proxy, scenes: list[Scene]) -> None:
    """Nobody is told that something was stored."""
    app.codat.wait_idle()
    dynamodb_wire.always(unwritable)
    for status, problem, seconds in concurrently(*(partial(call, scene) for scene in scenes)):
        assert (status, problem) == (503, "store-unavailable")
        assert seconds < CODAT_WAITS - 3
    dynamodb_wire.heal()
    for scene in scenes:
        status, problem, _ = call(scene)
        assert status in scene.done or problem == "creation-in-progress"
