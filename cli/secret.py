"""Change the deployment's secret and keep its other content."""

from __future__ import annotations

from contextlib import contextmanager
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cli.errors import OperatorError
from shared.runtime.secrets import Content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_secretsmanager import SecretsManagerClient


class _CompleteContent(Content, extra="allow"):
    """Includes the fields that this project does not use."""


class Secret:
    def __init__(self, client: SecretsManagerClient, secret_id: str) -> None:
        self._client = client
        self._id = secret_id

    def read(self) -> Content:
        """Return the content. Raises OperatorError if functions could not read it."""
        value = self._client.get_secret_value(SecretId=self._id).get("SecretString", "")
        try:
            return _CompleteContent.model_validate_json(value)
        except ValidationError:
            raise OperatorError(
                'The secret is not JSON of the form {"apiKey": "…", "webhookSecrets": ["whsec_…"]}. It was not '
                "changed. Correct it with `aws secretsmanager put-secret-value`, from a file."
            ) from None

    @contextmanager
    def update(self) -> Iterator[Content]:
        """Yield the current content, with a new log key if there is none, and store it unless the block raises."""
        content = self.read()
        content.log_key = content.log_key or token_urlsafe()
        yield content
        self._client.put_secret_value(SecretId=self._id, SecretString=content.model_dump_json(by_alias=True))
