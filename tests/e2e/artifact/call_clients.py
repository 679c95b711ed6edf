"""Use botocore's clients as the functions do, and print the results as JSON.

`python call_clients.py endpoints LAYER SERVICE…` prints where requests would be sent, in every region. LAYER may be
empty, for the botocore of the Python that runs this. `python call_clients.py operations LAYER` sends the requests of
the functions to AWS's substitute, whose URL is in AWS_ENDPOINT_URL.
"""

import json
import os
import ssl
import sys
from typing import Any

if sys.argv[2]:
    sys.path.insert(0, sys.argv[2])

import botocore.httpsession
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

SESSION = botocore.session.get_session()
# Requests that contain no address.
REQUESTS = {
    "dynamodb": "list_tables",
    "events": "list_event_buses",
    "secretsmanager": "list_secrets",
    "sqs": "list_queues",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "fips": {"use_fips_endpoint": True},
    "dualstack": {"use_dualstack_endpoint": True},
}
KEY_SCHEMA = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
ATTRIBUTES = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
ABSENT = {"ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
ITEM, OTHER = ({"pk": {"S": "CUSTOMER#1"}, "sk": {"S": sk}, "version": {"N": "1"}} for sk in ("A", "B"))


def key(item: dict[str, Any]) -> dict[str, Any]:
    return {"pk": item["pk"], "sk": item["sk"]}


class Body:
    """An empty JSON document."""

    @staticmethod
    def stream() -> list[bytes]:
        return [b"{}"]


def client(service: str, region: str, *, endpoint_url: str | None = None, **config: Any) -> Any:
    # Credentials and the substitute's address are in the environment.
    create: Any = SESSION.create_client
    return create(service, region_name=region, endpoint_url=endpoint_url, config=Config(**config))


def endpoints(*services: str) -> dict[str, Any]:
    """Return method, URL and signed scope of a request in each region of each partition, and the regions' names."""
    return {
        f"{service} {partition} {region} {variant}": request(service, region, config)
        for service in services
        for partition in SESSION.get_available_partitions()
        for region in SESSION.get_available_regions(service, partition)
        # The variants need a client each, so they are tried in the partitions' first regions.
        for variant, config in VARIANTS.items()
        if variant == "plain" or region == SESSION.get_available_regions(service, partition)[0]
    }


def request(service: str, region: str, config: dict[str, Any]) -> Any:
    sent: list[list[str]] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        authorization = request.headers["Authorization"]
        authorization = authorization.decode() if isinstance(authorization, bytes) else authorization
        # Credential=BENCH/20261126/eu-west-1/dynamodb/aws4_request, …
        scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")[2:]
        sent.append([request.method, request.url, *scope])
        return AWSResponse(request.url, 200, HTTPHeaders(), Body())

    try:
        caller = client(service, region, **config)
        caller.meta.events.register("before-send", answer)
        getattr(caller, REQUESTS[service])()
    except BotoCoreError as error:
        return str(error)
    return sent


def operations() -> dict[str, Any]:
    if not os.environ.get("AWS_ENDPOINT_URL"):
        sys.exit("AWS_ENDPOINT_URL is not set: these requests must not be sent to AWS.")
    return {
        "files": [module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "botocore"],
        "dynamodb": dynamodb(),
        "events": events(),
        "secretsmanager": secretsmanager(),
        "sqs": sqs(),
        "retries": retries(),
        "refused": refused(),
        "certificates": certificates(),
    }


def dynamodb() -> dict[str, Any]:
    table = client("dynamodb", "eu-west-1", retries={"total_max_attempts": 1, "mode": "standard"})
    table.create_table(
        TableName="t", KeySchema=KEY_SCHEMA, AttributeDefinitions=ATTRIBUTES, BillingMode="PAY_PER_REQUEST"
    )
    table.get_waiter("table_exists").wait(TableName="t")
    query = {
        "TableName": "t",
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": ITEM["pk"]},
        "Limit": 1,
    }
    put = {"Put": {"TableName": "t", "Item": OTHER, **ABSENT}}
    exists = {"ConditionCheck": {"TableName": "t", "Key": key(ITEM), "ConditionExpression": "attribute_exists(pk)"}}
    table.put_item(TableName="t", Item=ITEM, **ABSENT)
    failed_write = error_of(table, "put_item", TableName="t", Item=ITEM, **ABSENT)
    table.transact_write_items(TransactItems=[exists, put], ClientRequestToken="1" * 36)
    failed_transaction = error_of(table, "transact_write_items", TransactItems=[exists, put])
    first = table.query(**query)
    second = table.query(**query, ExclusiveStartKey=first["LastEvaluatedKey"])
    many = table.batch_get_item(RequestItems={"t": {"Keys": [key(ITEM), key(OTHER)], "ConsistentRead": True}})
    pages = list(table.get_paginator("query").paginate(**query))
    table.delete_item(TableName="t", Key=key(ITEM))
    return {
        "failed write": failed_write,
        "failed transaction": failed_transaction,
        "pages": [first["Items"], second["Items"]],
        "paginator": [item for page in pages for item in page["Items"]],
        "many": sorted(item["sk"]["S"] for item in many["Responses"]["t"]),
        "unprocessed": many["UnprocessedKeys"],
        "deleted": "Item" not in table.get_item(TableName="t", Key=key(ITEM), ConsistentRead=True),
        "no table": error_of(table, "get_item", TableName="none", Key=key(ITEM)),
    }


def events() -> dict[str, Any]:
    bus = client("events", "eu-west-1")
    entry = {"EventBusName": "default", "Source": "s", "DetailType": "t", "Detail": "{}"}
    answer = bus.put_events(Entries=[entry])
    return {
        "failed": answer["FailedEntryCount"],
        "entries": len(answer["Entries"]),
        "no bus": error_of(bus, "describe_event_bus", Name="none"),
    }


def secretsmanager() -> dict[str, Any]:
    secrets = client("secretsmanager", "eu-west-1")
    secrets.create_secret(Name="s", SecretString="value", ClientRequestToken="1" * 36)
    return {
        "value": secrets.get_secret_value(SecretId="s")["SecretString"],
        "no secret": error_of(secrets, "get_secret_value", SecretId="none"),
    }


def sqs() -> dict[str, Any]:
    queues = client("sqs", "eu-west-1")
    url = queues.create_queue(QueueName="q")["QueueUrl"]
    answer = queues.send_message_batch(QueueUrl=url, Entries=[{"Id": "0", "MessageBody": "{}"}])
    missing = {"QueueUrl": url.replace("/q", "/none"), "Entries": [{"Id": "0", "MessageBody": "{}"}]}
    return {
        "sent": [message["Id"] for message in answer["Successful"]],
        "no queue": error_of(queues, "send_message_batch", **missing),
    }


def error_of(caller: Any, operation: str, **arguments: Any) -> dict[str, Any] | None:
    try:
        getattr(caller, operation)(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        modelled = type(error) is not ClientError
        reasons: Any = error.response.get("CancellationReasons", [])
        return {"code": code, "modelled": modelled, "reasons": [reason["Code"] for reason in reasons]}
    return None


def retries() -> dict[str, int | None]:
    """Return the number of attempts of each service's client in each mode, if the service answers 500."""
    return {
        f"{service} {mode} {attempts}": attempts_of(service, mode, attempts)
        for service in REQUESTS
        for mode in ("standard", "legacy", "adaptive")
        for attempts in (1, 2)
    }


def attempts_of(service: str, mode: str, attempts: int) -> int | None:
    sent: list[str] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request.url)
        return AWSResponse(request.url, 500, HTTPHeaders(), Body())

    caller = client(service, "eu-west-1", retries={"total_max_attempts": attempts, "mode": mode})
    caller.meta.events.register("before-send", answer)
    try:
        getattr(caller, REQUESTS[service])()
    except ClientError:
        return len(sent)
    return None


def refused() -> int | None:
    """Return the number of attempts if the connection is refused."""
    sent: list[str] = []
    caller = client(
        "dynamodb",
        "eu-west-1",
        endpoint_url="http://127.0.0.1:9",
        retries={"total_max_attempts": 2, "mode": "standard"},
    )
    caller.meta.events.register("before-send", lambda request, **_: sent.append(request.url))
    try:
        caller.list_tables()
    except EndpointConnectionError:
        return len(sent)
    return None


def certificates() -> dict[str, Any]:
    """Return the file with the certificates that botocore trusts, and their number."""
    path = botocore.httpsession.get_cert_path(verify=True)
    return {"path": path, "count": len(ssl.create_default_context(cafile=path).get_ca_certs())}


if __name__ == "__main__":
    json.dump(endpoints(*sys.argv[3:]) if sys.argv[1] == "endpoints" else operations(), sys.stdout)
