"""Calls that start at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

_T = TypeVar("_T")


def concurrently(*calls: Callable[[], _T]) -> list[_T]:
    """Start every call at the same moment, each in a thread, and return the results in order."""
    start = Barrier(len(calls))

    def run(call: Callable[[], _T]) -> _T:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]
