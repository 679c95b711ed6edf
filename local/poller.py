"""A thread that brings a stream's records to where they go, as they come."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.stream import Record

logger = logging.getLogger("local.stream")

# What was written within it is read together; Lambda reads at most four times a second.
_GATHERING = 0.05
_AFTER_AN_ERROR = 0.5
_STOPS_WITHIN = 10.0


class Reader(Protocol):
    def read(self) -> Iterator[list[Record]]:
        """What is new since the last reading."""


class Poller:
    """Reads when it is nudged and, where nobody nudges, every `interval` seconds. For any thread."""

    def __init__(self, *, interval: float | None = None) -> None:
        self._interval = interval
        self._condition = threading.Condition()
        self._nudged = True
        self._wanted = 0
        self._drained = 0
        self.stopping = threading.Event()

    def nudge(self) -> None:
        """Something was written."""
        with self._condition:
            self._nudged = True
            self._condition.notify_all()

    def drain(self, within: float = 10.0) -> bool:
        """Whether what was written before this call has been delivered, in time."""
        with self._condition:
            self._wanted += 1
            wanted = self._wanted
            self._condition.notify_all()
            return self._condition.wait_for(lambda: self._drained >= wanted, within)

    @contextmanager
    def polling(self, reader: Reader, deliver: Callable[[list[Record]], None]) -> Iterator[None]:
        thread = threading.Thread(target=self._poll, args=(reader, deliver), name="stream", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            self.nudge()
            thread.join(_STOPS_WITHIN)

    def _poll(self, reader: Reader, deliver: Callable[[list[Record]], None]) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(self._is_called, self._interval)
                self._condition.wait_for(self._is_urgent, _GATHERING)
                self._nudged = False
                wanted = self._wanted
            if self.stopping.is_set():
                return
            try:
                for records in reader.read():
                    deliver(records)
            except (BotoCoreError, ClientError):
                logger.exception("The stream can't be read")
                self.stopping.wait(_AFTER_AN_ERROR)
                self.nudge()
                continue
            with self._condition:
                self._drained = wanted
                self._condition.notify_all()

    def _is_called(self) -> bool:
        return self._nudged or self._is_urgent()

    def _is_urgent(self) -> bool:
        return self.stopping.is_set() or self._wanted > self._drained
