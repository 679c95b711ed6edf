"""Change the deployment's secret and keep its other content."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime  # pydantic reads the annotation
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from cli.errors import OperatorError
from shared.runtime.secrets import Content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_secretsmanager import SecretsManagerClient


class ApiKeyRotation(BaseModel):
    """A rotation of the API key that has begun and is not complete. Functions ignore it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True)

    key_name: str
    """The unique name of the new key at Codat. It is stored before the key is created."""
    old_key_id: str = ""
    stored_at: datetime | None = None
    """When the new key was stored; None before that."""


class SecretContent(Content, extra="allow"):
    """Includes the fields that this project does not use."""

    api_key_rotation: ApiKeyRotation | None = None


class Secret:
    def __init__(self, client: SecretsManagerClient, secret_id: str) -> None:
        self._client = client
        self._id = secret_id

    def read(self) -> SecretContent:
        """Return the content. Raises OperatorError if functions could not read it."""
        value = self._client.get_secret_value(SecretId=self._id).get("SecretString", "")
        try:
            return SecretContent.model_validate_json(value)
        except ValidationError:
            raise OperatorError(
                'The secret is not JSON of the form {"apiKey": "…", "webhookSecrets": ["whsec_…"]}. It was not '
                "changed. Correct it with `aws secretsmanager put-secret-value`, from a file."
            ) from None

    @contextmanager
    def update(self) -> Iterator[SecretContent]:
        """Yield the current content, with a new log key if there is none, and store it unless the block raises."""
        content = self.read()
        content.log_key = content.log_key or token_urlsafe()
        yield content
        absent = {"api_key_rotation"} if content.api_key_rotation is None else set()
        value = content.model_dump_json(by_alias=True, exclude=absent)
        self._client.put_secret_value(SecretId=self._id, SecretString=value)
