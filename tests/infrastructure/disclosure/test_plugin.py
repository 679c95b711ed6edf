"""The plugin fails a test that logs private data, by any logger."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.artifact.make import ROOT

LOGGING = """
import json, logging
import boto3
from botocore.stub import Stubber
from types import SimpleNamespace

from shared.runtime.observability import Telemetry, logger, observed

def call(service, operation, answer, **params):
    client = boto3.client(service, "eu-west-1", aws_access_key_id="id", aws_secret_access_key="key")
    with Stubber(client) as stubber:
        stubber.add_response(operation, answer)
        getattr(client, operation)(**params)

def test_reads_the_secret():
    secret = {"apiKey": "the-api-key", "webhookSecrets": ["whsec_c2lnbmluZw=="]}
    call("secretsmanager", "get_secret_value", {"SecretString": json.dumps(secret)}, SecretId="secret")

def test_logs_a_key_that_was_read_earlier():
    logger.info("calling with the-api-key")

def test_logs_a_signing_secret_by_a_library():
    logging.getLogger("library").warning("signed by c2lnbmluZw==")

def test_logs_a_name_that_is_stored():
    item = {"pk": {"S": "CUSTOMER#1"}, "sk": {"S": "CUSTOMER"}, "name": {"S": 'Dave "Bank" Smith'}}
    call("dynamodb", "put_item", {}, TableName="table", Item=item)
    try:
        raise ValueError(item["name"]["S"])
    except ValueError:
        logger.exception("unexpected error")

def test_counts_a_link(monkeypatch):
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Test")
    link = "https://link.codat.io/company/1?otp=2"
    observed(lambda event, context: Telemetry().count("Counted", link=link))({}, SimpleNamespace(aws_request_id="1"))

def test_logs_ids():
    logger.warning("refused", extra={"customer_id": "Dave"})
"""
LOGGED = {
    "test_logs_a_key_that_was_read_earlier": "the API key",
    "test_logs_a_signing_secret_by_a_library": "a signing secret",
    "test_logs_a_name_that_is_stored": "the name of CUSTOMER",
    "test_counts_a_link": "a link",
}


def test_a_test_that_logs_private_data_fails(tmp_path: Path) -> None:
    file = tmp_path / "test_logging.py"
    file.write_text(LOGGING)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.infrastructure.disclosure.plugin",
            "-p",
            "no:cacheprovider",
            file,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout
    for test, description in LOGGED.items():
        assert f"{test} logged {description}" in run.stdout
    assert f"6 passed, {len(LOGGED)} errors" in run.stdout
