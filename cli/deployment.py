"""The resources of a deployment, from the options or from the outputs of its stack."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from cli.codat import Codat
from cli.errors import OperatorError
from cli.secret import Secret
from shared.store.table import Table

if TYPE_CHECKING:
    from cli.arguments import Options


class Deployment:
    def __init__(self, options: Options) -> None:
        self._options = options

    @cached_property
    def secret(self) -> Secret:
        client = boto3.client("secretsmanager", config=aws_config(attempts=2))
        return Secret(client, self._options.secret_arn or self._output("SecretArn"))

    @property
    def webhook_url(self) -> str:
        return self._options.webhook_url or self._output("WebhookUrl")

    def table(self) -> Table:
        # The table retries by itself.
        client = boto3.client("dynamodb", config=aws_config(attempts=1))
        return Table(client, self.table_name)

    @property
    def table_name(self) -> str:
        return self._options.table or self._output("TableName")

    def codat(self, api_key: str) -> Codat:
        return Codat(self._options.codat_base_url, api_key)

    def _output(self, name: str) -> str:
        if name not in self._outputs:
            raise OperatorError(f"The stack {self._options.stack} has no output {name}. Check the stack's name.")
        return self._outputs[name]

    @cached_property
    def _outputs(self) -> dict[str, str]:
        client: Any = boto3.client("cloudformation", config=aws_config(attempts=2))
        outputs = client.describe_stacks(StackName=self._options.stack)["Stacks"][0].get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def aws_config(*, attempts: int, max_pool_connections: int = 1) -> Config:
    retries: Any = {"total_max_attempts": attempts, "mode": "standard"}
    return Config(connect_timeout=3, read_timeout=10, retries=retries, max_pool_connections=max_pool_connections)
