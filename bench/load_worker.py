"""A process of `bench.load`. Prints a line when it is ready, starts when it reads one, prints its result as JSON.

`python -m bench.load_worker handler FILE SECRET` signs each body of the file and gives it to the webhook's handler.
`python -m bench.load_worker bare FILE COUNTS` sends as many requests to DynamoDB as COUNTS says, by operation.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.httpsession import URLLib3Session

from local.gateway.lambda_context import LambdaContext
from local.template import Template
from tests.payloads import webhook_event

if TYPE_CHECKING:
    from collections.abc import Callable

WEBHOOK = "CodatWebhookFunction"


def main(part: str, file: str, argument: str) -> None:
    bodies = Path(file).read_text().splitlines()
    # Handlers print their logs to stdout.
    results = os.fdopen(os.dup(1), "w")
    log = os.open(os.devnull, os.O_WRONLY)
    os.dup2(log, 1)
    work = _handler(argument) if part == "handler" else _bare(json.loads(argument))
    requests = _counted_requests()
    results.write("ready\n")
    results.flush()
    sys.stdin.readline()
    started = time.process_time()
    statuses = Counter(str(work(body)) for body in bodies)
    cpu = time.process_time() - started
    json.dump({"webhooks": len(bodies), "cpu": cpu, "statuses": statuses, "requests": requests}, results)
    results.close()


def _handler(secret: str) -> Callable[[str], int]:
    function = Template.load().functions[WEBHOOK]
    module, _, name = function.handler.rpartition(".")
    handler = getattr(import_module(module), name)

    def work(body: str) -> int:
        status: int = handler(webhook_event(body.encode(), secret), LambdaContext(function))["statusCode"]
        return status

    return work


def _bare(counts: dict[str, int]) -> Callable[[str], int]:
    """Return a function that sends the next request of each kind, until there were as many as `counts` says."""
    remaining = Counter(counts)
    requests = _BareRequests()
    if unknown := counts.keys() - requests.by_operation.keys():
        sys.exit(f"no bare request for {', '.join(sorted(unknown))}")

    def work(body: str) -> int:
        webhook = json.loads(body)
        for operation, count in remaining.items():
            if count > 0:
                remaining[operation] -= 1
                requests.by_operation[operation](webhook)
        return 200

    return work


class _BareRequests:
    """Requests of the handler's kind and size, under other keys."""

    def __init__(self) -> None:
        self._client = boto3.client("dynamodb")
        self._table = os.environ["TABLE_NAME"]
        self.by_operation: dict[str, Callable[[Any], object]] = {
            "BatchGetItem": self._batch_get,
            "GetItem": self._get,
            "TransactWriteItems": self._transact_write,
        }

    def _batch_get(self, webhook: Any) -> object:
        keys: Any = [_key(webhook, "COMPANY"), _key(webhook, _connection(webhook))]
        return self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})

    def _get(self, webhook: Any) -> object:
        key: Any = _key(webhook, _connection(webhook))
        return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)

    def _transact_write(self, webhook: Any) -> object:
        connection = webhook["payload"]["connection"]
        fields = {name: {"S": str(value)} for name, value in connection.items() if name != "dataConnectionErrors"}
        items: list[Any] = [
            {**_key(webhook, _connection(webhook)), **fields, "version": {"N": "1"}},
            {
                **_key(webhook, f"EVENT#{webhook['generatedDate']}#{webhook['id']}"),
                "eventType": {"S": webhook["eventType"]},
                "status": {"S": connection["status"]},
            },
        ]
        puts: Any = [{"Put": {"TableName": self._table, "Item": item}} for item in items]
        return self._client.transact_write_items(TransactItems=puts)


def _key(webhook: Any, sk: str) -> dict[str, Any]:
    return {"pk": {"S": f"BARE#{webhook['payload']['referenceCompany']['id']}"}, "sk": {"S": sk}}


def _connection(webhook: Any) -> str:
    return f"BARE#{webhook['payload']['connection']['id']}"


def _counted_requests() -> Counter[str]:
    """Count this process's requests to DynamoDB by operation, retries as well."""
    counts: Counter[str] = Counter()
    send = URLLib3Session.send

    def counting_send(session: URLLib3Session, request: Any) -> Any:
        target = request.headers.get("X-Amz-Target", b"")
        service, _, operation = (target.decode() if isinstance(target, bytes) else target).partition(".")
        if service.startswith("DynamoDB"):
            counts[operation] += 1
        return send(session, request)

    URLLib3Session.send = counting_send  # type: ignore[assignment]
    return counts


if __name__ == "__main__":
    main(*sys.argv[1:])
