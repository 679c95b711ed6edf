"""Read the deployment's secret from Secrets Manager: Codat's API key and the webhooks' signing secrets.

The secret is cached. It may have been rotated if Codat answers 401 or a signature matches no signing secret. Then it is
read again, at most once a minute: forged webhooks must not cause many calls to Secrets Manager.
"""

from collections.abc import Sequence
from functools import cache
from threading import Lock
from time import monotonic

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.domain.errors import SecretsUnavailable
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


class _Malformed(SecretsUnavailable):
    pass


class Secrets:
    """Every method raises SecretsUnavailable if the secret can't be read, or is not the required JSON."""

    def __init__(self, secret_id: str, provider: SecretsProvider | None = None) -> None:
        self._secret_id = secret_id
        # Far less than the 15 s after which Codat retries a webhook.
        config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
        self._provider = provider or SecretsProvider(boto_config=config)
        self._refreshing = Lock()
        self._next_refresh = 0.0
        self._last_failed = False

    def api_key(self) -> str:
        return self._content().api_key

    def log_key(self) -> str:
        return self._content().log_key

    def refresh_api_key(self) -> str:
        self._refresh()
        return self.api_key()

    def webhook_secrets(self) -> Sequence[str]:
        return self._content().webhook_secrets

    def refresh_webhook_secrets(self) -> Sequence[str]:
        self._refresh()
        return self.webhook_secrets()

    def _refresh(self) -> None:
        with self._refreshing:
            if monotonic() < self._next_refresh:
                if self._last_failed:
                    raise SecretsUnavailable("The secret with the Codat credentials could not be read a moment ago.")
                return
            self._next_refresh, self._last_failed = monotonic() + RETRY_SECONDS, True
            self._read(force_fetch=True)
            self._next_refresh, self._last_failed = monotonic() + REFRESH_SECONDS, False

    def _content(self) -> Content:
        try:
            return self._read()
        except _Malformed:
            self._refresh()  # it may have been corrected since it was cached
            return self._read()

    def _read(self, *, force_fetch: bool = False) -> Content:
        try:
            value = self._provider.get(self._secret_id, max_age=CACHE_SECONDS, force_fetch=force_fetch)
            return Content.model_validate_json(value if isinstance(value, str | bytes) else "")
        except GetParameterError as error:
            raise SecretsUnavailable("The secret with the Codat credentials could not be read.") from error
        except ValidationError as error:
            raise _Malformed('The secret must be JSON: {"apiKey": "…", "webhookSecrets": ["whsec_…"]}.') from error


@cache
def secrets() -> Secrets:
    """Return the secret of this deployment."""
    return Secrets(settings().codat_secret_id)
