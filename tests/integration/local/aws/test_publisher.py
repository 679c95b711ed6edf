"""The publisher, with a fake stream and a fake function."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
from botocore.exceptions import EndpointConnectionError

from local.aws import publisher as module
from local.aws.publisher import Publisher
from local.gateway.invocation import FunctionError


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_WAIT_AFTER_ERROR", "_MIN_WAIT", "_MAX_WAIT"):
        monkeypatch.setattr(module, name, 0.001)


class Stream:
    """A stream of numbers that a test writes, and a function that records each batch and returns `result(batch)`."""

    def __init__(self, result: Callable[[list[int]], Any] = lambda _: None) -> None:
        self.written: list[int] = []
        self.failures = 0
        self.reads = 0
        self.batches: list[list[int]] = []
        self.publisher = Publisher(self._read, lambda record: record["number"] >= 0, self._invoke)
        self._position = 0
        self._result = result

    def _read(self) -> Iterator[list[Any]]:
        self.reads += 1
        if self.failures:
            self.failures -= 1
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
        new = self.written[self._position :]
        self._position += len(new)
        if new:
            yield [{"number": number, "dynamodb": {"SequenceNumber": str(number)}} for number in new]

    def _invoke(self, event: dict[str, Any]) -> Any:
        self.batches.append([record["number"] for record in event["Records"]])
        return self._result(self.batches[-1])


def failing(*numbers: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": str(number)} for number in numbers]}


def fail() -> NoReturn:
    raise FunctionError("F failed")


def eventually(condition: Callable[[], bool], timeout: float = 5.0) -> bool:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def test_it_reads_at_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a request for it."""
    monkeypatch.setattr(module, "_POLL_INTERVAL", 0.01)
    stream = Stream()
    with stream.publisher.running():
        stream.written += [1, 2]
        assert eventually(lambda: stream.batches == [[1, 2]])


def test_drain_waits_until_earlier_writes_are_delivered() -> None:
    """GIVEN a slow function WHEN a write is followed by drain() THEN the write is delivered, too."""
    stream = Stream(lambda _: time.sleep(0.05))
    with stream.publisher.running():
        stream.written += [1]
        assert eventually(lambda: stream.batches == [[1]])
        stream.written += [2]
        assert stream.publisher.drain()
        assert stream.batches == [[1], [2]]


def test_drain_returns_false_after_its_timeout() -> None:
    """GIVEN a function that hangs THEN drain() returns False, and True once it has ended."""
    hangs = threading.Event()
    stream = Stream(lambda _: hangs.wait(5) and None)
    stream.written += [1]
    with stream.publisher.running():
        assert not stream.publisher.drain(timeout=0.05)
        hangs.set()
        assert stream.publisher.drain()


def test_a_failed_read_is_retried() -> None:
    """Writes during an outage are delivered afterwards."""
    stream = Stream()
    stream.failures = 2
    stream.written += [1]
    with stream.publisher.running():
        assert stream.publisher.drain()
    assert stream.batches == [[1]]
    assert stream.reads >= 3


def test_its_thread_ends_with_the_context() -> None:
    """The thread runs until then."""
    before = set(threading.enumerate())
    with Stream().publisher.running():
        [thread] = set(threading.enumerate()) - before
        assert thread.is_alive()
    assert not thread.is_alive()


def test_records_that_the_filter_excludes_are_not_delivered() -> None:
    """An empty batch invokes no function."""
    stream = Stream()
    stream.written += [-1, 2, -3]
    with stream.publisher.running():
        stream.publisher.drain()
        stream.written += [-4]
        stream.publisher.drain()
    assert stream.batches == [[2]]


def test_records_from_the_first_failure_on_are_retried() -> None:
    """WHEN the third record fails once THEN the third and the fourth are delivered again, before later ones."""
    results = [failing(4, 3), None, None]
    stream = Stream(lambda _: results.pop(0))
    stream.written += [1, 2, 3, 4]
    with stream.publisher.running():
        stream.publisher.drain()
        stream.written += [5]
        stream.publisher.drain()
    assert stream.batches == [[1, 2, 3, 4], [3, 4], [5]]


def test_a_batch_at_which_the_function_raises_is_retried_until_it_succeeds() -> None:
    """No change is lost."""
    stream = Stream(lambda _: fail() if len(stream.batches) <= 10 else None)
    stream.written += [1, 2]
    with stream.publisher.running():
        assert stream.publisher.drain()
    assert stream.batches == [[1, 2]] * 11


def test_retries_end_when_the_stack_stops() -> None:
    """A failing bus doesn't delay Ctrl-C."""
    stream = Stream(lambda _: failing(1))
    stream.written += [1]
    before = set(threading.enumerate())
    with stream.publisher.running():
        [thread] = set(threading.enumerate()) - before
        assert eventually(lambda: len(stream.batches) > 2)
    assert not thread.is_alive()
