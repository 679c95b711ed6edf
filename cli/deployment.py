"""Which deployment a command works on: a stack, or what its outputs say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from cli.errors import OperatorError
from cli.secret import Secret
from shared.store.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODAT = "https://api.codat.io"
_OUTPUTS = {"SECRET_ARN": "SecretArn", "WEBHOOK_URL": "WebhookUrl", "TABLE_NAME": "TableName"}
_AWS = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2, "mode": "standard"})


@dataclass(frozen=True, slots=True)
class Deployment:
    secret: Secret
    codat_base_url: str
    webhook_url: str | None
    table_name: str | None

    def table(self) -> Table:
        if not self.table_name:
            raise OperatorError("Say which table: STACK=codat-customers, or TABLE_NAME=… (its output TableName).")
        return Table(boto3.client("dynamodb", config=_AWS), self.table_name)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Deployment:
        outputs = _outputs(stack) if (stack := environment.get("STACK")) else {}
        values = {name: environment.get(name) or outputs.get(output) for name, output in _OUTPUTS.items()}
        if not (secret_arn := values["SECRET_ARN"]):
            raise OperatorError("Say which stack: STACK=codat-customers, or SECRET_ARN=… (its output SecretArn).")
        codat_base_url = environment.get("CODAT_BASE_URL") or _CODAT
        if not is_private(codat_base_url):
            raise OperatorError("CODAT_BASE_URL must be an https URL: the API key is sent there.")
        client = boto3.client("secretsmanager", config=_AWS)
        return cls(Secret(client, secret_arn), codat_base_url, values["WEBHOOK_URL"], values["TABLE_NAME"])


def is_private(url: str) -> bool:
    """Whether nobody reads along: by https, or on this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme, parts.hostname) == ("http", "127.0.0.1"))


def _outputs(stack: str) -> dict[str, str]:
    client: Any = boto3.client("cloudformation", config=_AWS)
    outputs = client.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}
