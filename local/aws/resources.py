"""Create the resources of template.yaml."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from local.template import Template


def create_table(client: DynamoDBClient, template: Template) -> bool:
    """Create the table and its TTL. Return False and change nothing if it exists."""
    try:
        client.create_table(**template.table())
    except client.exceptions.ResourceInUseException:
        return False
    name = template.physical_id("Table")
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 10})
    ttl = template.properties("Table")["TimeToLiveSpecification"]
    client.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
    return True


def create_queues(client: SQSClient, template: Template) -> tuple[str, str]:
    """Create the reconcile queue and its dead-letter queue. Return their URLs."""
    dead_letters_url = client.create_queue(QueueName=template.name("ReconcileDeadLetters"))["QueueUrl"]
    response = client.get_queue_attributes(QueueUrl=dead_letters_url, AttributeNames=["QueueArn"])
    queue = template.properties("ReconcileQueue")
    redrive = {**queue["RedrivePolicy"], "deadLetterTargetArn": response["Attributes"]["QueueArn"]}
    attributes: Any = {"VisibilityTimeout": str(queue["VisibilityTimeout"]), "RedrivePolicy": json.dumps(redrive)}
    queue_url = client.create_queue(QueueName=template.name("ReconcileQueue"), Attributes=attributes)["QueueUrl"]
    return queue_url, dead_letters_url


def create_secret(
    client: SecretsManagerClient, template: Template, *, api_key: str, webhook_secrets: Iterable[str]
) -> None:
    value = {"apiKey": api_key, "webhookSecrets": list(webhook_secrets)}
    client.create_secret(Name=template.physical_id("CodatSecret"), SecretString=json.dumps(value))
