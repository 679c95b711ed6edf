"""Calls that are really made at one moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

_T = TypeVar("_T")


def concurrently(*calls: Callable[[], _T]) -> list[_T]:
    """What each returned, all of them started at one moment on threads of their own."""
    start = Barrier(len(calls))

    def run(call: Callable[[], _T]) -> _T:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]
