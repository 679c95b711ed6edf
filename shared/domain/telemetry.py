"""What is measured and logged in an invocation."""

from typing import Protocol


class Telemetry(Protocol):
    def count(self, metric: str, **dimensions: str) -> None:
        """Add 1 to the invocation's count."""

    def measure(self, metric: str, value: float) -> None:
        """Set the invocation's value; a later one replaces it."""

    def measure_seconds(self, metric: str, seconds: float) -> None: ...

    def warn(self, message: str, **keys: object) -> None:
        """Log a constant message with ids as keys; bodies, link URLs and secrets must not be logged."""

    def note(self, **ids: str | None) -> None:
        """Add ids to every later log line of this invocation."""
