"""Run functions concurrently and yet repeatably: one at a time, switched at their I/O, on a clock of its own.

Each task is a thread, but only one runs at any moment. At every I/O it hands over to the scheduler, which picks the
next task by a seeded random number. So a seed decides every interleaving, every crash and every delay.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import Any


class Crashed(BaseException):
    """The process ends here. No `except Exception` of the code under test catches it."""


NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(eq=False)
class Task:
    name: str
    work: Callable[[], Any]
    wakes_at: datetime
    result: Any = None
    error: BaseException | None = None
    is_done: bool = False
    has_crashed: bool = False
    instance: int = 0
    """Which warm Lambda runs it: what it caches is its own."""
    ends_at: datetime = NEVER
    """When Lambda ends it."""
    crash_odds: float | None = None
    """At each I/O. None: the world's."""
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _handed_over: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self) -> None:
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def _run(self) -> None:
        self._go.acquire()
        _running.task = self
        try:
            self.result = self.work()
        except Crashed:
            self.has_crashed = True
        except BaseException as error:  # noqa: BLE001  # the scheduler's thread reports it
            self.error = error
        finally:
            self.is_done = True
            self._handed_over.release()

    def resume(self) -> None:
        """Let the task run until its next I/O, or its end."""
        self._go.release()
        self._handed_over.acquire()

    def hand_over(self, wakes_at: datetime) -> None:
        self.wakes_at = wakes_at
        self._handed_over.release()
        self._go.acquire()


_running = threading.local()


def running_task() -> Task | None:
    """Return the task of this thread; None in the scheduler's own thread, and in all others."""
    return getattr(_running, "task", None)


class Scheduler:
    def __init__(self, random: Random, start: datetime) -> None:
        self.random = random
        self.now = start
        self.steps = 0
        self._tasks: list[Task] = []
        self._timers: list[tuple[datetime, int, Callable[[], None]]] = []
        self._timer_count = 0

    def spawn(self, name: str, work: Callable[[], Any], *, delay: float = 0.0) -> Task:
        task = Task(name, work, self.now + timedelta(seconds=delay), instance=self.random.randrange(2))
        task.start()
        self._tasks.append(task)
        return task

    def at(self, delay: float, action: Callable[[], None]) -> None:
        """Call `action` in `delay` seconds of this clock."""
        self._timer_count += 1
        heappush(self._timers, (self.now + timedelta(seconds=delay), self._timer_count, action))

    def pause(self, seconds: float = 0.0) -> None:
        """Let others run, for at least `seconds`. Outside a task it does nothing."""
        task = running_task()
        if task is not None:
            task.hand_over(self.now + timedelta(seconds=seconds))

    def stall(self, seconds: float) -> None:
        """Let time pass in which nothing runs."""
        self.now += timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass, in which tasks and timers run."""
        until = self.now + timedelta(seconds=seconds)
        self.at(seconds, lambda: None)
        self.run(until=lambda: self.now >= until)

    def run(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Run tasks and timers until there are none left, or `until` holds."""
        while not until():
            self._tasks = [task for task in self._tasks if not task.is_done]
            if self._timers and self._timers[0][0] <= self.now:
                heappop(self._timers)[2]()
                continue
            ready = [task for task in self._tasks if task.wakes_at <= self.now]
            if ready:
                self.steps += 1
                self.now += timedelta(milliseconds=self.random.randint(1, 20))
                task = self.random.choice(ready)
                task.resume()
                if task.error is not None:
                    raise AssertionError(f"{task.name} raised {task.error!r}") from task.error
                continue
            waiting = [task.wakes_at for task in self._tasks] + [timer[0] for timer in self._timers[:1]]
            if not waiting:
                return
            self.now = max(self.now, min(waiting))
