"""The current time, and the time that a function has left."""

from datetime import UTC, datetime
from typing import Protocol


class LambdaContext(Protocol):
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


def now() -> datetime:
    return datetime.now(UTC)


def seconds_left(context: LambdaContext) -> float:
    return context.get_remaining_time_in_millis() / 1000
