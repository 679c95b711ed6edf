"""Poll a stream in a thread and deliver its records."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.aws.stream import Record

    _Read = Callable[[], Iterator[list[Record]]]

logger = logging.getLogger("local.stream")

# Writes within this time are read together. Lambda polls 4 times a second.
_BATCH_WINDOW = 0.05
_WAIT_AFTER_ERROR = 0.5
_STOP_TIMEOUT = 10.0


class Poller:
    """Read at the start, after `notify()`, on `drain()` and every `interval` seconds. Thread-safe, for one use."""

    def __init__(self, *, interval: float | None = None) -> None:
        self._interval = interval
        self._condition = threading.Condition()
        self._notified = True
        self._drains_requested = 0
        self._drains_done = 0
        self.stopping = threading.Event()

    def notify(self) -> None:
        """Announce a write."""
        with self._condition:
            self._notified = True
            self._condition.notify_all()

    def drain(self, timeout: float = 10.0) -> bool:
        """Wait until all earlier writes are handled. Return False after the timeout."""
        with self._condition:
            self._drains_requested += 1
            number = self._drains_requested
            self._condition.notify_all()
            return self._condition.wait_for(lambda: self._drains_done >= number, timeout)

    @contextmanager
    def polling(self, read: _Read, deliver: Callable[[list[Record]], None]) -> Iterator[None]:
        """Read and deliver in a thread until the context ends. Any error but botocore's ends the thread."""
        thread = threading.Thread(target=self._poll, args=(read, deliver), name="stream", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            self.notify()
            thread.join(_STOP_TIMEOUT)

    def _poll(self, read: _Read, deliver: Callable[[list[Record]], None]) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._notified or self._is_urgent(), self._interval)
                self._condition.wait_for(self._is_urgent, _BATCH_WINDOW)
                self._notified = False
                number = self._drains_requested
            if self.stopping.is_set():
                return
            try:
                for records in read():
                    deliver(records)
            except (BotoCoreError, ClientError):
                logger.exception("Reading or delivering failed")
                self.stopping.wait(_WAIT_AFTER_ERROR)
                self.notify()
                continue
            with self._condition:
                self._drains_done = number
                self._condition.notify_all()

    def _is_urgent(self) -> bool:
        return self.stopping.is_set() or self._drains_requested > self._drains_done
