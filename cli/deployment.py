"""The resources of a deployment, from the options or from the outputs of its stack."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from cli.arguments import CODAT_BASE_URL, TIMELINE_DAYS
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
        return Codat(self._options.codat_base_url or self._parameter("CodatBaseUrl") or CODAT_BASE_URL, api_key)

    @property
    def timeline_days(self) -> int:
        return self._options.timeline_days or int(self._parameter("TimelineDays") or TIMELINE_DAYS)

    def check_options(self) -> None:
        """Raise OperatorError if an option names another resource than the stack's: a shell may have exported it."""
        options = self._options
        given = (
            ("TABLE_NAME", options.table, "TableName"),
            ("SECRET_ARN", options.secret_arn, "SecretArn"),
            ("WEBHOOK_URL", options.webhook_url, "WebhookUrl"),
        )
        for variable, value, output in given:
            if options.stack and value and value != self._output(output):
                raise OperatorError(
                    f"{variable} is {value}, but the stack {options.stack} has {self._output(output)}. Nothing was "
                    f"changed. Give one of them: `unset {variable}`, or leave STACK out."
                )

    def _output(self, name: str) -> str:
        if name not in self._outputs:
            raise OperatorError(f"The stack {self._options.stack} has no output {name}. Check the stack's name.")
        return self._outputs[name]

    @property
    def _outputs(self) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in self._description.get("Outputs", [])}

    def _parameter(self, name: str) -> str:
        """Return the stack's parameter; empty without a stack, or for a stack that has no such parameter."""
        if not self._options.stack:
            return ""
        parameters = self._description.get("Parameters", [])
        return next((item["ParameterValue"] for item in parameters if item["ParameterKey"] == name), "")

    @cached_property
    def _description(self) -> dict[str, Any]:
        client: Any = boto3.client("cloudformation", config=aws_config(attempts=2))
        return dict(client.describe_stacks(StackName=self._options.stack)["Stacks"][0])


def aws_config(*, attempts: int, max_pool_connections: int = 1) -> Config:
    retries: Any = {"total_max_attempts": attempts, "mode": "standard"}
    return Config(connect_timeout=3, read_timeout=10, retries=retries, max_pool_connections=max_pool_connections)
