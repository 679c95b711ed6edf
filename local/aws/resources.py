"""Create the resources of template.yaml."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from local.template import Queue, Table


def create_table(client: DynamoDBClient, table: Table) -> bool:
    """Create the table and its TTL. Return False and change nothing if it exists."""
    definition: Any = table.definition
    try:
        client.create_table(**definition)
    except client.exceptions.ResourceInUseException:
        return False
    client.get_waiter("table_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1, "MaxAttempts": 10})
    if table.ttl:
        ttl: Any = table.ttl
        client.update_time_to_live(TableName=table.name, TimeToLiveSpecification=ttl)
    return True


def create_queue(client: SQSClient, queue: Queue, *, dead_letters_url: str | None = None) -> str:
    """Create the queue and return its URL."""
    attributes: Any = dict(queue.attributes)
    if dead_letters_url:
        response = client.get_queue_attributes(QueueUrl=dead_letters_url, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": response["Attributes"]["QueueArn"], "maxReceiveCount": queue.max_receives}
        attributes["RedrivePolicy"] = json.dumps(redrive)
    return client.create_queue(QueueName=queue.name, Attributes=attributes)["QueueUrl"]


def create_secret(
    client: SecretsManagerClient, secret_id: str, *, api_key: str, webhook_secrets: Iterable[str]
) -> None:
    value = {"apiKey": api_key, "webhookSecrets": list(webhook_secrets)}
    client.create_secret(Name=secret_id, SecretString=json.dumps(value))
