"""The context object that Lambda passes to a Python handler."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from local.template import ACCOUNT_ID, DEFAULT_REGION

if TYPE_CHECKING:
    from local.template import Function


class LambdaContext:
    """The timeout starts when the object is created."""

    def __init__(self, function: Function) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self.function_name = function.name
        self.memory_limit_in_mb = str(function.memory)  # a string on Lambda, too
        self.invoked_function_arn = f"arn:aws:lambda:{DEFAULT_REGION}:{ACCOUNT_ID}:function:{function.name}"
        self._deadline = time.monotonic() + function.timeout

    def get_remaining_time_in_millis(self) -> int:
        return max(int((self._deadline - time.monotonic()) * 1000), 0)
