"""The store on both DynamoDBs: one contract, twice."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from local import aws
from local.template import Template
from shared.domain.claims import Terms
from shared.store.table import Table
from tests.dynamodb_local import dynamodb_local  # noqa: F401  # a fixture
from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PATIENCE = 1.5


@pytest.fixture(scope="module", params=["moto", "dynamodb-local"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as parts:
        if request.param == "moto":
            yield parts.enter_context(aws.moto_server())
        else:
            yield request.getfixturevalue("dynamodb_local")


def client(url: str, *, patience: float = 10.0) -> "DynamoDBClient":
    """As the composition root makes it, but for the seconds that one try may take."""
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id=aws.ACCESS_KEY_ID,
        aws_secret_access_key=aws.SECRET_ACCESS_KEY,
        config=Config(
            connect_timeout=patience, read_timeout=patience, retries={"total_max_attempts": 2, "mode": "standard"}
        ),
    )


@pytest.fixture(scope="module")
def table_name(endpoint: str) -> str:
    """The table of template.yaml, empty."""
    template = Template.load(stack_name=f"store-{uuid4().hex[:8]}")
    definition = template.table("Table")
    aws.create_table(client(endpoint), definition)
    return definition.name


@pytest.fixture(scope="module")
def table(endpoint: str, table_name: str) -> Table:
    return Table(client(endpoint), table_name)


@pytest.fixture
def wire(endpoint: str) -> Iterator[Proxy]:
    """What lies between `shaky` and DynamoDB."""
    with Proxy(endpoint) as proxy:
        yield proxy


@pytest.fixture
def shaky(wire: Proxy, table_name: str) -> Table:
    """The same table, over a wire on which things go wrong; it gives up after 1.5 s."""
    return Table(client(wire.url, patience=0.5), table_name, patience=PATIENCE)


def terms(*, after: float = 0.0, lease: float = 30.0) -> Terms:
    """Of a new taker, `after` seconds past noon."""
    return Terms(NOW + timedelta(seconds=after), timedelta(seconds=lease), f"owner-{uuid4()}", str(uuid4()))
