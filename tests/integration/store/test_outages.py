"""DynamoDB throttles, can't be reached, or loses an answer: retried for a while, then StoreUnavailable."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import tenacity

from shared.domain.errors import StoreUnavailable
from shared.store import table as store_table
from shared.store.table import ABSENT, Table, delete, put
from tests.integration.faults.proxy import Behaviour, Exchange, Proxy, dropped, lost, responds, silent
from tests.integration.store.conftest import IMPATIENT_TIMEOUT, MAX_WAIT, client

# The proxy behaves the same in front of both databases.
pytestmark = pytest.mark.parametrize("endpoint", ["moto"], indirect=True)

MAX_PAUSE = 1.0
"""Seconds between two attempts. The last one may begin just before the time is up."""
SLACK = 1.5
"""Seconds, for a busy machine."""


def error(code: str, status: int = 400) -> Behaviour:
    return responds(status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code})


THROTTLED = error("ProvisionedThroughputExceededException")

TRANSIENT = {
    "provisioned throughput": THROTTLED,
    "throttling": error("ThrottlingException"),
    "request limit": error("RequestLimitExceeded"),
    "internal": error("InternalServerError", 500),
    "unavailable": error("ServiceUnavailable", 503),
    "another 5xx": responds(502, b"<html>Bad Gateway</html>"),
    "conflict": error("TransactionConflictException"),
    "in progress": error("TransactionInProgressException"),
    "connection closed": dropped,
}


def unprocessed_keys(exchange: Exchange) -> None:
    """Answer 200 with the keys that were not read: so a batch is throttled."""
    responds(200, {"Responses": {}, "UnprocessedKeys": {"t": {"Keys": [{"pk": {"S": "p"}, "sk": {"S": "s"}}]}}})(
        exchange
    )


def item() -> dict[str, Any]:
    return {"pk": f"p-{uuid4()}", "sk": "s"}


OPERATIONS: dict[str, Callable[[Table], object]] = {
    "get": lambda table: table.get(("p", "s")),
    "get many": lambda table: table.get_many([("p", "s")]),
    "query": lambda table: table.query("p", "s"),
    "put": lambda table: table.write(put(item(), ABSENT)),
    "delete": lambda table: table.write(delete(("p", "s"))),
    "transaction": lambda table: table.write(put(item(), ABSENT), put(item(), ABSENT)),
}


class Clock:
    """The clock of the retries: a pause advances it, and takes no real time."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += seconds

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        started = self.monotonic()
        yield
        assert self.monotonic() - started < seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tenacity, "time", clock)
    monkeypatch.setattr(tenacity.nap, "time", clock)
    return clock


@pytest.mark.parametrize("transient", TRANSIENT)
def test_a_transient_error_is_retried(shaky: Table, wire: Proxy, transient: str) -> None:
    wire.next(TRANSIENT[transient])
    OPERATIONS["put"](shaky)
    assert wire.seen == ["PutItem", "PutItem"]


def test_a_missing_answer_is_retried(impatient: Table, wire: Proxy) -> None:
    """After the client's timeout. botocore's own retries are off, so each attempt sends one request."""
    wire.next(silent)
    OPERATIONS["get"](impatient)
    assert wire.seen == ["GetItem", "GetItem"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_retried(shaky: Table, wire: Proxy, operation: str) -> None:
    """Also after a second error."""
    wire.next(THROTTLED, THROTTLED)
    OPERATIONS[operation](shaky)
    assert len(wire.seen) == 3


def test_unprocessed_keys_are_read_again(shaky: Table, wire: Proxy, table: Table) -> None:
    """GIVEN a response 200 that lists keys as unprocessed THEN the whole batch is read again."""
    written = item()
    table.write(put(written))
    wire.next(unprocessed_keys)
    assert list(shaky.get_many([(written["pk"], written["sk"])]).values()) == [written]


@pytest.mark.parametrize("operation", ["get", "transaction"])
def test_lasting_throttling_is_an_outage(shaky: Table, wire: Proxy, clock: Clock, operation: str) -> None:
    """WHEN DynamoDB throttles every request THEN StoreUnavailable is raised after `max_wait`."""
    wire.always(THROTTLED)
    with clock.at_most(MAX_WAIT + MAX_PAUSE + SLACK), pytest.raises(StoreUnavailable):
        OPERATIONS[operation](shaky)
    assert len(wire.seen) > 2


@pytest.mark.parametrize("behaviour", [dropped, silent])
@pytest.mark.parametrize("operation", ["get", "transaction"])
def test_an_unreachable_database_is_an_outage(
    impatient: Table, wire: Proxy, clock: Clock, behaviour: Behaviour, operation: str
) -> None:
    """It is retried like throttling. The last attempt may take another timeout of the client."""
    wire.always(behaviour)
    with clock.at_most(MAX_WAIT + MAX_PAUSE + IMPATIENT_TIMEOUT + SLACK), pytest.raises(StoreUnavailable):
        OPERATIONS[operation](impatient)
    assert len(wire.seen) > 1


def test_a_closed_port_is_an_outage(table_name: str, clock: Clock) -> None:
    table = Table(client("http://127.0.0.1:9"), table_name, max_wait=MAX_WAIT)
    with clock.at_most(MAX_WAIT + MAX_PAUSE + SLACK), pytest.raises(StoreUnavailable):
        table.get(("p", "s"))


def test_an_operation_is_retried_for_3_seconds_by_default(wire: Proxy, table_name: str, clock: Clock) -> None:
    assert store_table.MAX_WAIT == 3.0
    wire.always(THROTTLED)
    started = clock.monotonic()
    with clock.at_most(3.0 + MAX_PAUSE + SLACK), pytest.raises(StoreUnavailable):
        OPERATIONS["get"](Table(client(wire.url), table_name))
    # The pause that would end after the 3 s is shorter than 1 s.
    assert clock.monotonic() - started > 2.0


def test_each_operation_has_its_own_retry_time(shaky: Table, wire: Proxy) -> None:
    """GIVEN an operation that used up its time THEN the next one is retried."""
    wire.always(THROTTLED)
    with pytest.raises(StoreUnavailable):
        OPERATIONS["get"](shaky)
    wire.heal()
    wire.next(THROTTLED, THROTTLED)
    OPERATIONS["get"](shaky)


@pytest.mark.parametrize("seconds_left", [-5.0, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("behaviour", [THROTTLED, dropped, silent])
def test_nothing_is_retried_in_the_callers_last_second(
    wire: Proxy, table_name: str, clock: Clock, behaviour: Behaviour, seconds_left: float
) -> None:
    """The time is needed for the response: the operation is attempted once."""
    table = Table(client(wire.url, timeout=IMPATIENT_TIMEOUT), table_name, seconds_left=lambda: seconds_left)
    wire.always(behaviour)
    with clock.at_most(IMPATIENT_TIMEOUT + SLACK), pytest.raises(StoreUnavailable):
        OPERATIONS["get"](table)
    assert len(wire.seen) == 1


def test_nothing_is_retried_past_the_callers_deadline(wire: Proxy, table_name: str, clock: Clock) -> None:
    """GIVEN 1.7 s left WHEN DynamoDB throttles every request THEN no attempt begins after the deadline."""
    attempts: list[float] = []

    def throttled(exchange: Exchange) -> None:
        attempts.append(clock.monotonic())
        THROTTLED(exchange)

    deadline = clock.monotonic() + 1.7
    table = Table(client(wire.url), table_name, seconds_left=lambda: deadline - clock.monotonic())
    wire.always(throttled)
    with pytest.raises(StoreUnavailable):
        OPERATIONS["get"](table)
    assert len(attempts) > 1
    assert attempts[-1] <= deadline


def test_the_callers_time_is_read_for_each_operation(wire: Proxy, table_name: str) -> None:
    """GIVEN a caller whose time has run out since the last operation THEN the next one is not retried."""
    seconds_left = [2.0]
    table = Table(client(wire.url), table_name, seconds_left=lambda: seconds_left[0])
    wire.next(THROTTLED)
    OPERATIONS["get"](table)
    assert len(wire.seen) == 2
    seconds_left[0] = 0.9
    wire.next(THROTTLED)
    with pytest.raises(StoreUnavailable):
        OPERATIONS["get"](table)
    assert len(wire.seen) == 3


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_a_lasting_error_is_raised_at_once(shaky: Table, wire: Proxy, code: str) -> None:
    """A retry would change nothing."""
    wire.next(error(code))
    with pytest.raises(StoreUnavailable, match=code):
        shaky.write(put(item(), ABSENT))
    assert len(wire.seen) == 1


def test_a_transaction_whose_answer_was_lost_has_worked(shaky: Table, wire: Proxy) -> None:
    """The retry carries the same token, so that DynamoDB reports the success of the first attempt."""
    first, second = item(), item()
    tokens: list[bytes] = []

    def lost_with_its_token(exchange: Exchange) -> None:
        tokens.append(exchange.body)
        lost(exchange)

    def note(exchange: Exchange) -> None:
        tokens.append(exchange.body)
        responds(200, {})(exchange)

    wire.next(lost_with_its_token, note)
    shaky.write(put(first, ABSENT), put(second, ABSENT))
    assert tokens[0] == tokens[1]
    assert b"ClientRequestToken" in tokens[0]
    assert (shaky.get((first["pk"], "s")), shaky.get((second["pk"], "s"))) == (first, second)
