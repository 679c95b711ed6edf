"""The poller, over a reader of a few lines."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import EndpointConnectionError

from local.aws.poller import Poller


class Reader:
    """A stream into which a test writes numbers."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.failures = 0
        self.readings = 0
        self._read = 0

    def read(self) -> Iterator[list[Any]]:
        self.readings += 1
        if self.failures:
            self.failures -= 1
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
        new = self.written[self._read :]
        if new:
            yield new
            self._read += len(new)


def parts(interval: float | None = None) -> tuple[Reader, list[Any], Poller]:
    return Reader(), [], Poller(interval=interval)


def eventually(holds: Callable[[], bool], within: float = 5.0) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.005)
    return False


def test_a_nudge_brings_what_was_written() -> None:
    """Without waiting for an interval; and nobody reads while nothing is written."""
    reader, got, poller = parts()
    with poller.polling(reader, got.extend):
        assert poller.drain()
        before = reader.readings
        time.sleep(0.15)
        assert reader.readings == before
        reader.written += [1, 2]
        poller.nudge()
        assert eventually(lambda: got == [1, 2])


def test_without_nudges_it_looks_by_itself() -> None:
    """GIVEN a DynamoDB that doesn't tell of its writes THEN it is asked every so often."""
    reader, got, poller = parts(interval=0.01)
    with poller.polling(reader, got.extend):
        reader.written += [1]
        assert eventually(lambda: got == [1])


def test_drain_waits_for_what_was_written_before_it() -> None:
    """GIVEN a slow delivery under way WHEN something is written and drained THEN it has been delivered too."""
    reader, got, poller = parts()

    def slowly(records: list[Any]) -> None:
        time.sleep(0.05)
        got.extend(records)

    with poller.polling(reader, slowly):
        reader.written += [1]
        poller.nudge()
        assert eventually(lambda: reader.readings > 0)
        reader.written += [2]
        assert poller.drain()
        assert got == [1, 2]


def test_drain_gives_up_in_time() -> None:
    """GIVEN a delivery that hangs THEN whoever waits for it is told that it isn't done."""
    hangs, poller, reader = threading.Event(), Poller(), Reader()
    reader.written += [1]

    def deliver(_: list[Any]) -> None:
        hangs.wait(5)

    with poller.polling(reader, deliver):
        assert not poller.drain(within=0.05)
        hangs.set()
        assert poller.drain()


def test_a_stream_out_of_reach_is_tried_again(monkeypatch: Any) -> None:
    """What was written meanwhile is not lost."""
    monkeypatch.setattr("local.aws.poller._AFTER_AN_ERROR", 0.01)
    reader, got, poller = parts()
    reader.failures = 2
    reader.written += [1]
    with poller.polling(reader, got.extend):
        assert poller.drain()
    assert got == [1]
    assert reader.readings >= 3


def test_it_stops_quietly() -> None:
    """No thread is left behind."""
    before = set(threading.enumerate())
    with Poller(interval=0.01).polling(Reader(), lambda _: None):
        [thread] = set(threading.enumerate()) - before
        assert thread.is_alive()
    assert not thread.is_alive()
