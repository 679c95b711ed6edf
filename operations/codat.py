"""Codat as the operator needs it: webhook consumers, and whether a key is good."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import httpx

from shared.codat import wire
from shared.codat.transport import Transport
from shared.domain.errors import CodatNotFound
from shared.retrying import retrying

if TYPE_CHECKING:
    from collections.abc import Collection

    from shared.codat.transport import Answer

MOST_CONSUMERS = 50
_SECONDS = 30.0


class Consumer(wire.Wire):
    id: wire.Identifier
    url: str
    event_types: list[str] | None = None
    company_tags: list[str] | None = None
    disabled: bool | None = None


class _Consumers(wire.Wire):
    results: list[Consumer]


class Codat:
    """Every method raises the CodatErrors of `shared.domain.errors`."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._client = httpx.Client(base_url=base_url)
        self._transport = Transport(
            self._client, _Key(api_key), lambda: _SECONDS, lambda: datetime.now(UTC), _Uncounted()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def consumers(self) -> list[Consumer]:
        return self._get("webhooks").read(_Consumers).results

    def create_consumer(self, url: str, event_types: Collection[str]) -> Consumer:
        body = {"url": url, "eventTypes": sorted(event_types)}
        return self._transport.send("POST", "webhooks", json=body).read(Consumer)

    def delete_consumer(self, consumer_id: str) -> None:
        self._transport.send("DELETE", "webhooks", consumer_id).read_nothing()

    def any_company(self) -> str | None:
        """A company's id; None where the account has none."""
        found = self._get("companies", page_size=1).read(wire.Companies).results
        return found[0].id if found else None

    def has_company(self, company_id: str) -> bool:
        try:
            self._get("companies", company_id)
        except CodatNotFound:
            return False
        return True

    def _get(self, *path: str, page_size: int | None = None) -> Answer:
        params = {} if page_size is None else {"pageSize": page_size}
        return retrying(lambda: _SECONDS)(lambda: self._transport.send("GET", *path, params=params))


class _Key:
    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def api_key(self) -> str:
        return self._api_key

    def refresh_api_key(self) -> str:
        return self._api_key


class _Uncounted:
    """Metrics are CloudWatch's to read, not the operator's terminal."""

    def count(self, metric: str, **dimensions: str) -> None: ...

    def measure(self, metric: str, value: float) -> None: ...
