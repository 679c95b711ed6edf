"""The one secret of a deployment: Codat's API key and the signing secrets of its webhooks.

Read from Secrets Manager and cached. A secret that was rotated is noticed when it fails (Codat's 401, a signature
that no secret explains) and then read again, at most once a minute, so that a flood of forged webhooks can't turn
into a flood of calls to Secrets Manager.
"""

from collections.abc import Sequence
from threading import Lock
from time import monotonic

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.domain.errors import SecretsUnavailable

CACHE_SECONDS = 300
REFRESH_SECONDS = 60


class _Content(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, hide_input_in_errors=True)

    api_key: str = ""
    webhook_secrets: list[str] = Field(default_factory=list)


class Secrets:
    """Every method raises SecretsUnavailable where the secret can't be read, or isn't the JSON that it should be."""

    def __init__(self, secret_id: str, provider: SecretsProvider | None = None) -> None:
        self._secret_id = secret_id
        # Bounded well under the 15 s after which Codat counts a webhook as failed.
        config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
        self._provider = provider or SecretsProvider(boto_config=config)
        self._refreshed_at: float | None = None
        self._refreshing = Lock()

    def api_key(self) -> str:
        return self._content().api_key

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
            if self._refreshed_at is not None and monotonic() - self._refreshed_at < REFRESH_SECONDS:
                return
            self._content(force_fetch=True)
            self._refreshed_at = monotonic()

    def _content(self, *, force_fetch: bool = False) -> _Content:
        try:
            value = self._provider.get(self._secret_id, max_age=CACHE_SECONDS, force_fetch=force_fetch)
            return _Content.model_validate_json(value if isinstance(value, str | bytes) else "")
        except GetParameterError as error:
            raise SecretsUnavailable("The secret with the Codat credentials could not be read.") from error
        except ValidationError as error:
            if not force_fetch:
                # It may have been put right since it was cached.
                return self._content(force_fetch=True)
            raise SecretsUnavailable(
                'The secret must be JSON: {"apiKey": "…", "webhookSecrets": ["whsec_…"]}.'
            ) from error
