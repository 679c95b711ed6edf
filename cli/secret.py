"""The deployment's secret, changed without losing what else is in it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cli.errors import OperatorError
from shared.runtime.secrets import Content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_secretsmanager import SecretsManagerClient


class _Whole(Content, extra="allow"):
    """With what only its owner knows."""


class Secret:
    def __init__(self, client: SecretsManagerClient, secret_id: str) -> None:
        self._client = client
        self._id = secret_id

    def read(self) -> Content:
        """Raises OperatorError where it isn't what functions could read."""
        value = self._client.get_secret_value(SecretId=self._id).get("SecretString", "")
        try:
            return _Whole.model_validate_json(value)
        except ValidationError:
            raise OperatorError(
                'The secret is not JSON of the form {"apiKey": "…", "webhookSecrets": ["whsec_…"]}, and was not '
                "changed. Put it right by `aws secretsmanager put-secret-value`, from a file."
            ) from None

    @contextmanager
    def changing(self) -> Iterator[Content]:
        """Reads it afresh, and puts what the block made of it unless the block failed."""
        content = self.read()
        yield content
        self._client.put_secret_value(SecretId=self._id, SecretString=content.model_dump_json(by_alias=True))
