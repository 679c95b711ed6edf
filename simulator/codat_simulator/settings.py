"""The settings of a simulator, and the types that check them."""

import binascii
from base64 import b64decode
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from codat_simulator.faults import Fault

API_KEY = "local-codat-api-key"
# The base64 of "local-codat-webhook-secret".
WEBHOOK_SECRET = "whsec_bG9jYWwtY29kYXQtd2ViaG9vay1zZWNyZXQ="  # pragma: allowlist secret

# The minimum of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
_MIN_SECRET_BYTES = 24
_MAX_SECONDS = 10 * 366 * 86_400


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return url
    except ValueError:
        pass
    raise PydanticCustomError("url", "The URL must be an http or https address, such as http://127.0.0.1:3000/webhooks")


def _check_secret(secret: str) -> str:
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if secret.startswith("whsec_") and len(key) >= _MIN_SECRET_BYTES:
        return secret
    raise PydanticCustomError("secret", "A webhook secret is whsec_ and the base64 of at least 24 bytes")


Url = Annotated[str, AfterValidator(_check_url)]
WebhookSecret = Annotated[str, AfterValidator(_check_secret)]
Seconds = Annotated[float, Field(ge=0, le=_MAX_SECONDS)]
Duration = Annotated[float, Field(ge=-_MAX_SECONDS, le=_MAX_SECONDS)]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    quota: requests a day. None applies Codat's rule, 1,000 x (1 + companies with a linked connection). The
        default leaves room for a load test.
    company_limit: Codat rejects further companies with 402. The limit of a free trial is 50.
    webhook_urls: a consumer of every event type for each URL.
    return_redirect: the page to return to after linking. The simulator adds `companyId` and `statusCode`.
    retry_scale: factor for Svix's schedule of retries (5 s, 5 min, 30 min, ...).
    initial_read: seconds between each authorisation of a connection and its `read.completed.initial`.
    list_lag: `GET /companies`, its tag filter and `GET /companies/{id}/connections` return the state from
        this many seconds ago, by Codat's clock. Reads by id return the current state.
    one_time_links: a link URL works once and for a day. If False, URLs are stable.
    omit_integration_key: leave `integrationKey` out of connections, in responses and in events.
    """

    api_keys: tuple[str, ...] = (API_KEY,)
    webhook_urls: tuple[str, ...] = ()
    webhook_secrets: tuple[str, ...] = (WEBHOOK_SECRET,)
    faults: tuple[Fault, ...] = ()
    company_limit: int | None = None
    quota: int | None = 1_000_000
    return_redirect: str | None = None
    retry_scale: float = 0.01
    delivery_timeout: float = 15.0
    initial_read: float = 0.2
    list_lag: float = 0.0
    one_time_links: bool = True
    omit_integration_key: bool = False
