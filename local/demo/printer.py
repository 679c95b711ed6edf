"""Output of `make demo`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from local.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx


class Printer(Terminal):
    """Print numbered steps, requests, webhooks and events."""

    _steps = 0

    def heading(self, text: str) -> None:
        self.line()
        self.line(self.bold(text))

    def step(self, title: str) -> None:
        self._steps += 1
        self.heading(f"{self._steps}  {title}")

    def request(self, method: str, url: str, content: str) -> None:
        self.line(f"   {method} {shortened(url)}  {content}".rstrip())

    def response(self, response: httpx.Response) -> None:
        elapsed = self.dim(f"{response.elapsed.total_seconds() * 1000:.0f} ms")
        self.line(f"   {self.status(response.status_code)} {response.reason_phrase}  {elapsed}")
        if location := response.headers.get("location"):
            self.line(self.dim(f"     Location: {shortened(location)}"))
        for line in document_lines(response.content):
            self.line(self.dim(f"     {line}"))

    def webhook(self, event: dict[str, Any], status: int) -> None:
        self.line(f"   webhook {event['eventType']:26} answered {self.status(status)}")

    def state(self, connection: dict[str, Any]) -> None:
        self.line(f"   state {self.bold(connection['status'])}, next action {connection['nextAction']}")

    def change_event(self, event: dict[str, Any]) -> None:
        detail = event["detail"]
        statuses = [status for status in (detail.get("previousStatus"), detail.get("status")) if status]
        reason = self.dim(f"  {detail['error']}") if detail.get("error") else ""
        self.line(f"   {event['detail-type']:20} {status_path(statuses):24} version {detail['version']}{reason}")


def document_lines(content: bytes) -> list[str]:
    """Return a line for each field of a JSON document, with links and invitations' URLs shortened."""
    try:
        document = json.loads(content)
    except ValueError:
        return []
    if not isinstance(document, dict):
        return [json.dumps(document)]
    for name in ("linkUrl", "url"):
        if isinstance(document.get(name), str):
            document[name] = shortened(document[name])
    width = max(map(len, document), default=0)
    return [
        f"{name:{width}}  {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in document.items()
    ]


def shortened(url: str) -> str:
    """Return a path of the API as it is, and any other URL without its end, so that it can't be used."""
    if url.startswith("/"):
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path[:14]}…"


def status_path(statuses: Sequence[str]) -> str:
    return " → ".join(status for before, status in zip(["", *statuses], statuses, strict=False) if status != before)
