"""The poller, with a fake stream."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import EndpointConnectionError

from local.aws.poller import Poller


class Reader:
    """A stream of numbers that a test writes."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.failures = 0
        self.reads = 0
        self._read = 0

    def read(self) -> Iterator[list[Any]]:
        self.reads += 1
        if self.failures:
            self.failures -= 1
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
        new = self.written[self._read :]
        if new:
            yield new
            self._read += len(new)


def make_poller(interval: float | None = None) -> tuple[Reader, list[Any], Poller]:
    return Reader(), [], Poller(interval=interval)


def eventually(condition: Callable[[], bool], timeout: float = 5.0) -> bool:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def test_a_notification_starts_a_read() -> None:
    """Without an interval the poller reads only after a write."""
    reader, delivered, poller = make_poller()
    with poller.polling(reader.read, delivered.extend):
        assert poller.drain()
        before = reader.reads
        time.sleep(0.15)
        assert reader.reads == before
        reader.written += [1, 2]
        poller.notify()
        assert eventually(lambda: delivered == [1, 2])


def test_with_an_interval_it_reads_without_a_notification() -> None:
    """GIVEN a DynamoDB that doesn't report its writes THEN the stream is read at an interval."""
    reader, delivered, poller = make_poller(interval=0.01)
    with poller.polling(reader.read, delivered.extend):
        reader.written += [1]
        assert eventually(lambda: delivered == [1])


def test_drain_waits_until_earlier_writes_are_delivered() -> None:
    """GIVEN a slow delivery WHEN a write is followed by drain() THEN the write is delivered, too."""
    reader, delivered, poller = make_poller()

    def slowly(records: list[Any]) -> None:
        time.sleep(0.05)
        delivered.extend(records)

    with poller.polling(reader.read, slowly):
        reader.written += [1]
        poller.notify()
        assert eventually(lambda: reader.reads > 0)
        reader.written += [2]
        assert poller.drain()
        assert delivered == [1, 2]


def test_drain_returns_false_after_its_timeout() -> None:
    """GIVEN a delivery that hangs THEN drain() returns False, and True once it has ended."""
    hangs, poller, reader = threading.Event(), Poller(), Reader()
    reader.written += [1]

    def deliver(_: list[Any]) -> None:
        hangs.wait(5)

    with poller.polling(reader.read, deliver):
        assert not poller.drain(timeout=0.05)
        hangs.set()
        assert poller.drain()


def test_a_failed_read_is_retried(monkeypatch: Any) -> None:
    """Writes during an outage are delivered afterwards."""
    monkeypatch.setattr("local.aws.poller._WAIT_AFTER_ERROR", 0.01)
    reader, delivered, poller = make_poller()
    reader.failures = 2
    reader.written += [1]
    with poller.polling(reader.read, delivered.extend):
        assert poller.drain()
    assert delivered == [1]
    assert reader.reads >= 3


def test_its_thread_ends_with_the_context() -> None:
    """The thread runs until then."""
    before = set(threading.enumerate())
    with Poller(interval=0.01).polling(Reader().read, lambda _: None):
        [thread] = set(threading.enumerate()) - before
        assert thread.is_alive()
    assert not thread.is_alive()
