"""AWS on one machine: moto behind HTTP, and the resources of template.yaml in it."""

from __future__ import annotations

import itertools
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from local import moto_memory
from local.template import ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from local.template import Queue, Table

# moto serves every service on one port; DynamoDB may be replaced (AWS_ENDPOINT_URL_DYNAMODB).
ENDPOINT_VARIABLES = (
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_EVENTBRIDGE",
)

_WRITES = frozenset(
    f"DynamoDB_20120810.{operation}"
    for operation in ("BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem")
)

_accounts = itertools.count(int(ACCOUNT_ID))

# DynamoDB Local takes letters and digits only.
ACCESS_KEY_ID = "LOCALONEMACHINE"
SECRET_ACCESS_KEY = "LocalOneMachine"


@contextmanager
def moto_server(in_front: Callable[[WSGIApplication], WSGIApplication] | None = None) -> Iterator[str]:
    """Moto on a free port of loopback, empty; gives its URL. `in_front` wraps what stands before moto.

    moto's state belongs to the process, so two at once would share it.
    """
    # Slow to import: whoever brings their own AWS shall not wait for it.
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        create_backend_app,
    )
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    class QuietHandler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body leave as two packets; with Nagle's algorithm the second waits 40 ms for an answer.
        disable_nagle_algorithm = True

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    moto_memory.spare()
    app: WSGIApplication = OneAtATime(InAccount(next(_accounts), DomainDispatcherApplication(create_backend_app)))
    if in_front:
        app = in_front(app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="moto", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class OneAtATime:
    """A WSGI app that is asked one thing at a time.

    moto keeps its tables in plain dictionaries: asked by several threads at once it answers some
    transactions with 500 and loses updates that it has confirmed.
    """

    # Of the process, as moto's state is.
    lock = threading.Lock()

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Listed inside the lock: a lazy answer would do its work after the lock is free.
        with self.lock:
            return list(self._app(environ, start_response))


class InAccount:
    """moto as one AWS account. Its state is the process's, by account: with one of its own, each server
    starts empty, and a second leaves the first alone.
    """

    def __init__(self, account_id: int, app: WSGIApplication) -> None:
        self._account_id = f"{account_id:012}"
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._app({**environ, "HTTP_X_MOTO_ACCOUNT_ID": self._account_id}, start_response)


class AfterWrites:
    """A WSGI app that tells when a write to a table has been answered, by whatever answer."""

    def __init__(self, app: WSGIApplication, told: Callable[[], None]) -> None:
        self._app = app
        self._told = told

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = self._app(environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET") in _WRITES:
            self._told()
        return answer


def create_table(client: DynamoDBClient, table: Table) -> bool:
    """Creates the table with its TTL; False where one is there already, which is taken as it is."""
    try:
        client.create_table(**_arguments(table.definition))
    except client.exceptions.ResourceInUseException:
        return False
    client.get_waiter("table_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1, "MaxAttempts": 10})
    if table.ttl:
        client.update_time_to_live(**_arguments(table.ttl))
    return True


def create_queue(client: SQSClient, queue: Queue, *, dead_letters_url: str | None = None) -> str:
    """The new queue's URL."""
    attributes: Any = dict(queue.attributes)
    if dead_letters_url:
        described = client.get_queue_attributes(QueueUrl=dead_letters_url, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": described["Attributes"]["QueueArn"], "maxReceiveCount": queue.max_receives}
        attributes["RedrivePolicy"] = json.dumps(redrive)
    return client.create_queue(QueueName=queue.name, Attributes=attributes)["QueueUrl"]


def create_secret(
    client: SecretsManagerClient, secret_id: str, *, api_key: str, webhook_secrets: Iterable[str]
) -> None:
    value = {"apiKey": api_key, "webhookSecrets": list(webhook_secrets)}
    client.create_secret(Name=secret_id, SecretString=json.dumps(value))


def _arguments(keywords: Any) -> dict[str, Any]:
    # The template is data; boto3 checks it against the service's model.
    return dict(keywords)
