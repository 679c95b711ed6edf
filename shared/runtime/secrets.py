"""Read the deployment's secret from Secrets Manager: Codat's API key and the webhooks' signing secrets.

The secret is cached. It may have been rotated if Codat answers 401 or a signature matches no signing secret. Then it is
read again, at most once a minute: forged webhooks must not cause many calls to Secrets Manager.
"""

from collections.abc import Sequence
from functools import cache
from threading import Lock
from time import monotonic
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.domain.errors import SecretsUnavailable
from shared.runtime.aws import client
from shared.runtime.settings import settings

CACHE_SECONDS = 300
REFRESH_SECONDS = 60
RETRY_SECONDS = 5
"""Time between two refreshes if the first failed, so that forged webhooks don't add load during an outage."""


class Content(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, hide_input_in_errors=True)

    api_key: str = Field(default="", repr=False)
    webhook_secrets: list[str] = Field(default_factory=list, repr=False)
    log_key: str = Field(default="", repr=False)
    """Hashes customer ids in log lines."""


class Secrets:
    """Methods that return a value raise SecretsUnavailable if the secret can't be read, or is not the required JSON."""

    def __init__(self, secret_id: str, client: Any) -> None:
        self._secret_id = secret_id
        self._client = client
        self._cached: Content | None = None
        """None before the first read, and if the secret is malformed."""
        self._expires_at = 0.0
        self._refreshing = Lock()
        self._next_refresh = 0.0
        self._last_failed = False

    def clear(self) -> None:
        """Drop the cached secret and the client's connections."""
        self._cached, self._expires_at, self._next_refresh = None, 0.0, 0.0
        self._client.close()

    def api_key(self) -> str:
        return self._content().api_key

    def log_key(self) -> str:
        return self._content().log_key

    def refresh_api_key(self) -> str:
        return self._refresh().api_key

    def webhook_secrets(self) -> Sequence[str]:
        return self._content().webhook_secrets

    def refresh_webhook_secrets(self) -> Sequence[str]:
        return self._refresh().webhook_secrets

    def _content(self) -> Content:
        if monotonic() >= self._expires_at:
            return self._fetch()
        return self._cached or self._refresh()

    def _refresh(self) -> Content:
        with self._refreshing:
            if monotonic() < self._next_refresh:
                if self._last_failed or self._cached is None:
                    raise SecretsUnavailable("The secret with the Codat credentials could not be read a moment ago.")
                return self._cached
            self._next_refresh, self._last_failed = monotonic() + RETRY_SECONDS, True
            content = self._fetch()
            self._next_refresh, self._last_failed = monotonic() + REFRESH_SECONDS, False
            return content

    def _fetch(self) -> Content:
        try:
            text = self._client.get_secret_value(SecretId=self._secret_id).get("SecretString", "")
        except (BotoCoreError, ClientError) as error:
            raise SecretsUnavailable("The secret with the Codat credentials could not be read.") from error
        self._expires_at = monotonic() + CACHE_SECONDS
        try:
            content = self._cached = Content.model_validate_json(text)
        except ValidationError as error:
            self._cached = None
            message = 'The secret must be JSON: {"apiKey": "…", "webhookSecrets": ["whsec_…"]}.'
            raise SecretsUnavailable(message) from error
        return content


@cache
def secrets() -> Secrets:
    """Return the secret of this deployment."""
    return Secrets(settings().codat_secret_id, client("secretsmanager"))
