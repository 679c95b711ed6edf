"""The operator's requests to Codat: webhook consumers, API keys, and the origins that may embed the Link SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Self

import httpx
from pydantic import Field

from cli.telemetry import NoTelemetry
from shared.codat import wire
from shared.codat.client import Codat as CodatClient
from shared.codat.transport import Transport
from shared.domain.errors import CodatInvalidResponse
from shared.retrying import retrying
from shared.runtime import clock
from shared.services.api_keys import ApiKeyTrust
from shared.store.api_keys import ApiKeys
from shared.store.customers import Customers

if TYPE_CHECKING:
    from collections.abc import Collection

    from shared.codat.transport import Response
    from shared.store.table import Table

MAX_CONSUMERS = 50
"""Codat's limit for one client."""
MAX_API_KEYS = 10
"""Codat's limit for one client."""
_REQUEST_SECONDS = 30.0


class Consumer(wire.Wire):
    id: wire.Identifier
    url: str
    event_types: list[str] | None = None
    company_tags: list[str] | None = None
    disabled: bool | None = None


class _Consumers(wire.Wire):
    results: list[Consumer]


class ApiKey(wire.Wire):
    id: wire.Identifier
    api_key: Annotated[str, Field(pattern="^[!-~]+$")]
    name: str | None = None


class _ApiKeys(wire.Wire):
    results: list[ApiKey]


class _CorsSettings(wire.Wire):
    allowed_origins: list[str] | None = None


class _Profile(wire.Wire):
    name: str


class Codat:
    """Every method raises the CodatErrors of `shared.domain.errors`."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._client = httpx.Client(base_url=base_url)
        self._transport = Transport(self._client, _Key(api_key), lambda: _REQUEST_SECONDS, clock.now, NoTelemetry())

    def require_trusted_key(self, table: Table) -> None:
        """Raise CodatRejectedCredentials unless the deployment trusts the API key, or it proves itself now."""
        trust = ApiKeyTrust(ApiKeys(table), Customers(table), clock.now, set())
        CodatClient(self._transport, tag_key="", require_trust=trust.require).require_trusted_key()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def list_consumers(self) -> list[Consumer]:
        return self._get("webhooks").read(_Consumers).results

    def create_consumer(self, url: str, event_types: Collection[str]) -> Consumer:
        body = {"url": url, "eventTypes": sorted(event_types)}
        return self._transport.send("POST", "webhooks", json=body).read(Consumer)

    def delete_consumer(self, consumer_id: str) -> None:
        self._delete("webhooks", consumer_id)

    def list_api_keys(self) -> list[ApiKey]:
        """Return all keys of the Codat client. They contain the keys themselves: don't print, log or store them."""
        return self._get("apiKeys").read(_ApiKeys).results

    def create_api_key(self, name: str) -> ApiKey:
        """Raises CodatBusy if Codat has 10 keys."""
        return self._transport.send("POST", "apiKeys", json={"name": name}).read(ApiKey)

    def delete_api_key(self, key_id: str) -> None:
        self._delete("apiKeys", key_id)

    def allowed_origins(self) -> list[str]:
        return self._get("corsSettings").read(_CorsSettings).allowed_origins or []

    def set_allowed_origins(self, origins: Collection[str]) -> list[str]:
        """Replace the list, and return what Codat stored."""
        body = {"allowedOrigins": list(origins)}
        return self._transport.send("POST", "corsSettings", json=body).read(_CorsSettings).allowed_origins or []

    def _delete(self, *path: str) -> None:
        response = self._transport.send("DELETE", *path)
        try:
            json.loads(response.body or "null")
        except (ValueError, RecursionError) as error:  # a gateway's page
            raise CodatInvalidResponse("Codat returned an invalid response (body).") from error

    def client_name(self) -> str:
        """Return the name of the Codat client that the API key belongs to."""
        return self._get("profile").read(_Profile).name

    def _get(self, *path: str) -> Response:
        return retrying(lambda: _REQUEST_SECONDS)(lambda: self._transport.send("GET", *path))


class _Key:
    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def api_key(self) -> str:
        return self._api_key

    def refresh_api_key(self) -> str:
        return self._api_key
