"""DynamoDB throttling, out of reach, or losing an answer: repeated for a while, then StoreUnavailable."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.errors import StoreUnavailable
from shared.store.table import ABSENT, Table, put
from tests.faults.proxy import Behaviour, Exchange, Proxy, dropped, lost, silent, told
from tests.store.conftest import PATIENCE, client

# What the wire does is the same for both, so one is enough.
pytestmark = pytest.mark.parametrize("endpoint", ["moto"], indirect=True)

ONE_TRY = 2 * 0.5 + 1.5
"""Seconds: a client's two waits for an answer, its own pause in between, and a busy machine."""


def error(code: str, status: int = 400) -> Behaviour:
    return told(status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code})


THROTTLED = error("ProvisionedThroughputExceededException")

PASSING = {
    "provisioned throughput": THROTTLED,
    "throttling": error("ThrottlingException"),
    "request limit": error("RequestLimitExceeded"),
    "internal": error("InternalServerError", 500),
    "unavailable": error("ServiceUnavailable", 503),
    "conflict": error("TransactionConflictException"),
    "in progress": error("TransactionInProgressException"),
}


def unprocessed(exchange: Exchange) -> None:
    """How a batch is throttled: 200, with what was not read."""
    told(200, {"Responses": {}, "UnprocessedKeys": {"t": {"Keys": [{"pk": {"S": "p"}, "sk": {"S": "s"}}]}}})(exchange)


def item() -> dict[str, Any]:
    return {"pk": f"p-{uuid4()}", "sk": "s"}


OPERATIONS: dict[str, Callable[[Table], object]] = {
    "get": lambda table: table.get(("p", "s")),
    "get many": lambda table: table.get_many([("p", "s")]),
    "query": lambda table: table.query("p", "s"),
    "put": lambda table: table.write(put(item(), ABSENT)),
    "transaction": lambda table: table.write(put(item(), ABSENT), put(item(), ABSENT)),
}


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.mark.parametrize("passing", PASSING)
def test_what_passes_is_repeated(shaky: Table, wire: Proxy, passing: str) -> None:
    """Throttling and its like cost a little time, and nothing else."""
    wire.next(PASSING[passing])
    OPERATIONS["put"](shaky)
    assert wire.seen == ["PutItem", "PutItem"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_repeated(shaky: Table, wire: Proxy, operation: str) -> None:
    """Also a second time."""
    wire.next(THROTTLED, THROTTLED)
    OPERATIONS[operation](shaky)
    assert len(wire.seen) == 3


def test_keys_that_were_not_processed_are_asked_for_again(shaky: Table, wire: Proxy, table: Table) -> None:
    """A batch that is throttled says so in a 200."""
    written = item()
    table.write(put(written))
    wire.next(unprocessed)
    assert list(shaky.get_many([(written["pk"], written["sk"])]).values()) == [written]


@pytest.mark.parametrize("operation", ["get", "transaction"])
def test_throttling_without_end(shaky: Table, wire: Proxy, operation: str) -> None:
    """StoreUnavailable once the patience is over, and not much later."""
    wire.always(THROTTLED)
    with at_most(PATIENCE + ONE_TRY), pytest.raises(StoreUnavailable):
        OPERATIONS[operation](shaky)
    assert len(wire.seen) > 2


@pytest.mark.parametrize("behaviour", [dropped, silent])
def test_out_of_reach(shaky: Table, wire: Proxy, behaviour: Behaviour) -> None:
    """StoreUnavailable after the client's own two tries."""
    wire.always(behaviour)
    for operation in (OPERATIONS["get"], OPERATIONS["transaction"]):
        wire.seen.clear()
        with at_most(ONE_TRY + 0.5), pytest.raises(StoreUnavailable):
            operation(shaky)
        assert len(wire.seen) <= 2


def test_nobody_listens(table_name: str) -> None:
    """A closed port is a store out of reach."""
    table = Table(client("http://127.0.0.1:9"), table_name)
    with at_most(ONE_TRY), pytest.raises(StoreUnavailable):
        table.get(("p", "s"))


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_what_does_not_pass_is_told_at_once(shaky: Table, wire: Proxy, code: str) -> None:
    """Repeating would change nothing."""
    wire.next(error(code))
    with pytest.raises(StoreUnavailable, match=code):
        shaky.write(put(item(), ABSENT))
    assert len(wire.seen) == 1


def test_a_transaction_whose_answer_was_lost_has_worked(shaky: Table, wire: Proxy) -> None:
    """The next try carries the same token, so that DynamoDB tells it what came of the first."""
    one, other = item(), item()
    tokens: list[bytes] = []

    def lost_with_its_token(exchange: Exchange) -> None:
        tokens.append(exchange.body)
        lost(exchange)

    def note(exchange: Exchange) -> None:
        tokens.append(exchange.body)
        told(200, {})(exchange)

    wire.next(lost_with_its_token, note)
    shaky.write(put(one, ABSENT), put(other, ABSENT))
    assert tokens[0] == tokens[1]
    assert b"ClientRequestToken" in tokens[0]
    assert (shaky.get((one["pk"], "s")), shaky.get((other["pk"], "s"))) == (one, other)
