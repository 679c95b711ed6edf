"""What the transport works with: an API key, telemetry, and Codat's documents."""

from typing import Any

from cli.telemetry import NoTelemetry

HTML = b"<html><body>Bad Gateway</body></html>"


class Keys:
    """The API key in the secret: `cached` until it is refreshed."""

    def __init__(self, cached: str = "key", refreshed: str = "key") -> None:
        self._key = cached
        self._refreshed = refreshed

    def api_key(self) -> str:
        return self._key

    def refresh_api_key(self) -> str:
        self._key = self._refreshed
        return self._key


class CountingTelemetry(NoTelemetry):
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.measured: dict[str, float] = {}

    def count(self, metric: str, **dimensions: str) -> None:
        assert metric == "CodatCall"
        self.outcomes.append(dimensions["outcome"])

    def measure(self, metric: str, value: float) -> None:
        self.measured[metric] = value


def error_document(status: int, **fields: Any) -> dict[str, Any]:
    """Codat's own error document. None as a field's value leaves it out."""
    document = {
        "statusCode": status,
        "service": "ClientAPI",
        "error": "Not accepted.",
        "correlationId": "c0ffee",
        "validation": None,
        "canBeRetried": "Unknown",
        "detailedErrorCode": 0,
    }
    return {name: value for name, value in (document | fields).items() if value is not None}
