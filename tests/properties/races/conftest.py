"""The whole stack over DynamoDB Local, which handles concurrent writers; moto serialises them."""

from collections.abc import Iterator

import httpx
import pytest

from local.running import Stack
from local.settings import LocalSettings, new_webhook_secret
from local.stack import running_stack
from tests.dynamodb_local import dynamodb_local  # noqa: F401  # a fixture


@pytest.fixture(scope="module")
def stack(dynamodb_local: str) -> Iterator[Stack]:  # noqa: F811  # the fixture is a parameter
    settings = LocalSettings(
        codat_api_key="test-api-key-that-must-never-be-logged",
        webhook_secrets=(new_webhook_secret(),),
        dynamodb_endpoint=dynamodb_local,
        port=0,
    )
    with running_stack(settings) as running:
        # Build the clients with a first request. A Lambda serves one request at a time, but 64 threads would build 64.
        httpx.post(f"{running.url}/customers", json={"customerId": "first", "name": "First"}).raise_for_status()
        yield running
