"""moto behind HTTP."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local.aws.moto_server import serialized


def test_requests_are_handled_one_at_a_time() -> None:
    """GIVEN a lazy response WHEN 16 threads send requests THEN none overlaps with another."""
    running = max_running = 0
    guard = threading.Lock()

    def app(_: Any, __: Any) -> Iterable[bytes]:
        nonlocal running, max_running
        with guard:
            running += 1
            max_running = max(max_running, running)
        time.sleep(0.002)
        yield b"response"
        with guard:
            running -= 1

    serialized_app: Any = serialized(app)
    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(lambda _: list(serialized_app({}, None)), range(32)))
    assert responses == [[b"response"]] * 32
    assert max_running == 1
