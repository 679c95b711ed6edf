"""How Codat's webhooks come in: the port of `shared.services.webhooks`, made of the signature and the events."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.codat import events, signature
from shared.domain.events import Event


class Door:
    def __init__(self, tag_key: str) -> None:
        self._tag_key = tag_key

    def verify(self, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> str:
        return signature.verify(body, headers, secrets)

    def read(self, body: bytes, now: datetime) -> Event:
        return events.read(body, self._tag_key, now)
