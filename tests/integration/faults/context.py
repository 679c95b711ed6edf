"""The Lambda context that handlers get in tests."""

import time


class Context:
    function_name = "tested"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def __init__(self, seconds: float = 28.0) -> None:
        """`seconds`: the time until Lambda would end the function."""
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self._end - time.monotonic()) * 1000))
