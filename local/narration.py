"""What `make demo` shows of each step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from local.console import Console


class Silence:
    def step(self, title: str) -> None:
        pass

    def request(self, method: str, path: str, body: Any) -> None:
        pass

    def answer(self, response: httpx.Response) -> None:
        pass

    def link_page(self, url: str, status: int) -> None:
        pass

    def webhook(self, event: dict[str, Any], status: int) -> None:
        pass

    def state(self, connection: dict[str, Any]) -> None:
        pass

    def lost(self, webhooks: int) -> None:
        pass

    def bus(self, events: list[dict[str, Any]]) -> None:
        pass


class Narration:
    """Tells every step on the console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps = 0

    def step(self, title: str) -> None:
        self._steps += 1
        self._console.line()
        self._console.line(self._console.bold(f"{self._steps}  {title}"))

    def request(self, method: str, path: str, body: Any) -> None:
        self._console.line(f"   {method} {path}" + ("" if body is None else f"  {json.dumps(body)}"))

    def answer(self, response: httpx.Response) -> None:
        took = self._console.dim(f"{response.elapsed.total_seconds() * 1000:.0f} ms")
        self._console.line(f"   {self._console.status(response.status_code)} {response.reason_phrase}  {took}")
        if location := response.headers.get("location"):
            self._console.line(self._console.dim(f"     Location: {location}"))
        for line in document_lines(response.content):
            self._console.line(self._console.dim(f"     {line}"))

    def link_page(self, url: str, status: int) -> None:
        self._console.line(f"   POST {shortened(url)}  action=authorize")
        self._console.line(f"   {self._console.status(status)}")

    def webhook(self, event: dict[str, Any], status: int) -> None:
        self._console.line(f"   webhook {event['eventType']:26} answered {self._console.status(status)}")

    def state(self, connection: dict[str, Any]) -> None:
        self._console.line(
            f"   state {self._console.bold(connection['status'])}, next action {connection['nextAction']}"
        )

    def lost(self, webhooks: int) -> None:
        self._console.line(f"   {webhooks} webhook{'s' if webhooks > 1 else ''} sent, never answered")

    def bus(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self._console.line(f"   {event['detail-type']:20} {self._change(event['detail'])}")

    def _change(self, detail: dict[str, Any]) -> str:
        statuses = [status for status in (detail.get("previousStatus"), detail.get("status")) if status]
        what = f"{path_of(statuses):24} version {detail['version']}"
        reason = f"  {detail['error']}" if detail.get("error") else ""
        return what + self._console.dim(reason)


def document_lines(content: bytes) -> list[str]:
    """An answer's JSON, a line a field, its link shortened."""
    try:
        document = json.loads(content)
    except ValueError:
        return []
    if not isinstance(document, dict):
        return [json.dumps(document)]
    if isinstance(document.get("linkUrl"), str):
        document["linkUrl"] = shortened(document["linkUrl"])
    width = max(map(len, document), default=0)
    return [f"{name:{width}}  {_value(value)}" for name, value in document.items()]


def shortened(url: str) -> str:
    """Enough of a link to recognise it, too little to use it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path[:20]}…"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def path_of(statuses: Sequence[str]) -> str:
    return " → ".join(status for before, status in zip(["", *statuses], statuses, strict=False) if status != before)
