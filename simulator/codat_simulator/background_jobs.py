"""Jobs on the server's event loop that outlive a response: webhook deliveries and initial reads."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from threading import Condition
from typing import Any

logger = logging.getLogger(__name__)

Job = Callable[[], Coroutine[Any, Any, None]]


class BackgroundJobs:
    """Start jobs from any thread, in order. Jobs spawned before the server runs wait for it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Job] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending = 0
        self._condition = Condition()

    def spawn(self, job: Job) -> None:
        with self._condition:
            self._pending += 1
            if self._loop is None:
                self._waiting.append(job)
            else:
                self._loop.call_soon_threadsafe(self._start, job)

    def spawn_later(self, seconds: float, action: Callable[[], object]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            action()

        self.spawn(wait)

    @property
    def pending(self) -> int:
        return self._pending

    def wait_idle(self, timeout: float = 10.0) -> bool:
        """Return whether all jobs finish within `timeout` seconds. Don't call it on the event loop."""
        with self._condition:
            return self._condition.wait_for(lambda: self._pending == 0, timeout)

    def cancel(self) -> None:
        """Cancel all jobs and wait for their end. Don't call it on the event loop."""
        with self._condition:
            self._pending -= len(self._waiting)
            self._waiting.clear()
            if self._loop is not None:
                # Runs after the starts that are scheduled already, so it cancels those jobs too.
                self._loop.call_soon_threadsafe(self._cancel_tasks)
        self.wait_idle()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with self._condition:
            self._loop = asyncio.get_running_loop()
            for job in self._waiting:
                self._start(job)
            self._waiting.clear()
        try:
            yield
        finally:
            with self._condition:
                self._loop = None
            await asyncio.gather(*self._cancel_tasks(), return_exceptions=True)

    def _cancel_tasks(self) -> list[asyncio.Task[None]]:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    def _start(self, job: Job) -> None:
        task = asyncio.ensure_future(job())
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("Background job failed", exc_info=error)
        with self._condition:
            self._pending -= 1
            self._condition.notify_all()
