"""Deliver the table's stream to the publish function as Lambda does: filtered, in batches and in order, with retries.

Differences: there is one batch at a time, and it is not bisected; the waits between retries are shorter, and the
retries end with the process only.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.gateway.invocation import FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.aws.stream import Record

logger = logging.getLogger("local.stream")

# Lambda polls 4 times a second, too.
_POLL_INTERVAL = 0.25
_WAIT_AFTER_ERROR = 0.5
_MIN_WAIT = 0.02
_MAX_WAIT = 1.0
_STOP_TIMEOUT = 10.0


class Publisher:
    """Read and deliver at an interval and on `drain()`, in a thread. `running()` can be used once.

    `read` yields pages of new records. `matches` is the filter. `invoke` calls the function.
    """

    def __init__(
        self,
        read: Callable[[], Iterator[list[Record]]],
        matches: Callable[[Record], bool],
        invoke: Callable[[dict[str, Any]], Any],
    ) -> None:
        self._read = read
        self._matches = matches
        self._invoke = invoke
        self._drains: SimpleQueue[threading.Event] = SimpleQueue()
        self._stopping = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="stream", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self.drain(0)  # wakes the thread
            thread.join(_STOP_TIMEOUT)

    def drain(self, timeout: float = 10.0) -> bool:
        """Wait until all earlier writes are published. Return False after the timeout, in seconds."""
        drained = threading.Event()
        self._drains.put(drained)
        return drained.wait(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                drained = self._drains.get(timeout=_POLL_INTERVAL)
            except Empty:
                drained = threading.Event()
            while not self._stopping.is_set() and not self._publish_new():
                self._stopping.wait(_WAIT_AFTER_ERROR)
            drained.set()

    def _publish_new(self) -> bool:
        """Deliver the new records. Return False if they could not be read."""
        try:
            for records in self._read():
                self._deliver([record for record in records if self._matches(record)])
        except (BotoCoreError, ClientError):
            logger.exception("The stream could not be read")
            return False
        return True

    def _deliver(self, batch: list[Record]) -> None:
        wait = _MIN_WAIT
        while batch and not self._stopping.is_set():
            processed = self._attempt(batch)
            batch = batch[processed:]
            if processed:
                wait = _MIN_WAIT
            else:
                self._stopping.wait(wait)
                wait = min(wait * 2, _MAX_WAIT)

    def _attempt(self, batch: list[Record]) -> int:
        """Return how many records from the start were processed."""
        try:
            result = self._invoke({"Records": batch})
        except FunctionError:
            logger.exception("Function failed")
            return 0
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        # Lambda retries a stream from the first failed record on.
        failures = {failure["itemIdentifier"] for failure in (result or {}).get("batchItemFailures", [])}
        if not failures <= set(numbers):
            return 0
        return min(map(numbers.index, failures), default=len(batch))
