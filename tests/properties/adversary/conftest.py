"""The driver's stack: over moto, or over DynamoDB Local with DYNAMODB_LOCAL=1."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.running import Stack
from local.settings import LocalSettings, new_webhook_secret
from local.stack import running_stack
from tests.dynamodb_local import dynamodb_local_is_asked_for, running_dynamodb_local


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    settings = LocalSettings(codat_api_key="unused", webhook_secrets=(new_webhook_secret(),), port=0)
    if not dynamodb_local_is_asked_for():
        with running_stack(settings) as running:
            yield running
        return
    with (
        running_dynamodb_local() as url,
        running_stack(replace(settings, dynamodb_endpoint=url)) as running,
    ):
        yield running
