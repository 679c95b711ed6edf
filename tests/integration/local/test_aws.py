"""moto is asked one thing at a time."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local.aws import OneAtATime


def test_one_at_a_time() -> None:
    """GIVEN many threads WHEN they ask at once THEN no two are inside the app, also while it makes its answer."""
    inside = 0
    most = 0
    guard = threading.Lock()

    def app(_: Any, __: Any) -> Iterable[bytes]:
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        time.sleep(0.002)
        yield b"answer"
        with guard:
            inside -= 1

    serialised = OneAtATime(app)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: list(serialised({}, None)), range(32)))  # type: ignore[arg-type]
    assert answers == [[b"answer"]] * 32
    assert most == 1
