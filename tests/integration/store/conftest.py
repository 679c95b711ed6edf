"""The store on moto and on DynamoDB Local."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from local.aws.moto_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY, moto_server
from local.aws.resources import create_table
from local.template import Template
from shared.domain.leases import LeaseRequest
from shared.store.table import Table
from tests.dynamodb_local import dynamodb_local  # noqa: F401  # a fixture
from tests.integration.faults.proxy import Proxy

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MAX_WAIT = 1.5
"""Seconds that the shaky and the impatient table retry."""
IMPATIENT_TIMEOUT = 0.5
"""Seconds that the impatient table's client waits for a response."""


@pytest.fixture(scope="module", params=["moto", "dynamodb-local"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as parts:
        if request.param == "moto":
            yield parts.enter_context(moto_server())
        else:
            yield request.getfixturevalue("dynamodb_local")


def client(url: str, *, timeout: float = 10.0) -> "DynamoDBClient":
    """Return a client as the composition root builds it: without retries, because the table retries.

    Its timeout in seconds is longer, so that a busy machine is not an outage.
    """
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(
            connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 1, "mode": "standard"}
        ),
    )


@pytest.fixture(scope="module")
def table_name(endpoint: str) -> str:
    """The table of template.yaml, empty."""
    template = Template.load(stack_name=f"store-{uuid4().hex[:8]}")
    create_table(client(endpoint), template)
    return template.physical_id("Table")


@pytest.fixture(scope="module")
def table(endpoint: str, table_name: str) -> Table:
    return Table(client(endpoint), table_name)


@pytest.fixture
def wire(endpoint: str) -> Iterator[Proxy]:
    """The proxy between `shaky` or `impatient` and DynamoDB."""
    with Proxy(endpoint) as proxy:
        yield proxy


@pytest.fixture
def shaky(wire: Proxy, table_name: str) -> Table:
    """The same table behind the proxy; it retries for 1.5 s."""
    return Table(client(wire.url), table_name, max_wait=MAX_WAIT)


@pytest.fixture
def impatient(wire: Proxy, table_name: str) -> Table:
    """The same as `shaky`, with a short timeout: for tests in which answers are missing on purpose."""
    return Table(client(wire.url, timeout=IMPATIENT_TIMEOUT), table_name, max_wait=MAX_WAIT)


def lease_request(*, after: float = 0.0, lease: float = 30.0) -> LeaseRequest:
    """Return the request of a new owner, `after` seconds past noon, for a lease of `lease` seconds."""
    return LeaseRequest(
        now=NOW + timedelta(seconds=after),
        duration=timedelta(seconds=lease),
        owner=f"owner-{uuid4()}",
        idempotency_key=str(uuid4()),
        creation_id=str(uuid4()),
    )
