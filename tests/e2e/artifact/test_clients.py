"""Each client of the functions works with the trimmed layer alone, as with botocore as published."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.subjects import lambda_variables
from local.aws.moto_server import moto_server
from tests.e2e.artifact.cold_start import LAYER, run
from tests.e2e.artifact.make import ROOT
from tools.trim_layer import client_services

SCRIPT = ROOT / "tests/e2e/artifact/call_clients.py"


@pytest.fixture(scope="module")
def services(built: object) -> tuple[str, ...]:  # noqa: ARG001  # it builds
    return client_services(LAYER)


@pytest.fixture(scope="module")
def results(services: tuple[str, ...]) -> dict[str, Any]:
    """What the requests of the functions return, sent to moto."""
    with moto_server() as url:
        printed = run([SCRIPT, "operations", LAYER], lambda_variables("call_clients", 512, url))
    results: dict[str, Any] = json.loads(printed)
    # A service that the script doesn't call would pass unnoticed.
    assert set(services) <= results.keys()
    return results


def test_requests_go_to_the_same_addresses_in_all_regions(services: tuple[str, ...]) -> None:
    """GIVEN botocore as published THEN the layer's signs the same and sends it to the same host, in every region."""
    variables = lambda_variables("call_clients", 512, "")
    del variables["AWS_ENDPOINT_URL"]
    trimmed = json.loads(run([SCRIPT, "endpoints", LAYER, *services], variables))
    published = json.loads(
        subprocess.run(
            [sys.executable, "-I", SCRIPT, "endpoints", "", *services],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    assert trimmed == published
    for service in services:
        for partition, region, domain in [
            ("aws", "eu-west-1", "amazonaws.com"),
            ("aws-us-gov", "us-gov-west-1", "amazonaws.com"),
            ("aws-cn", "cn-north-1", "amazonaws.com.cn"),
        ]:
            [[_, url, *scope]] = trimmed[f"{service} {partition} {region} plain"]
            assert url == f"https://{service}.{region}.{domain}/"
            assert scope == [region, service, "aws4_request"]


def test_only_the_layers_botocore_is_imported(results: dict[str, Any]) -> None:
    assert [file for file in results["files"] if not Path(file).is_relative_to(LAYER)] == []


def test_dynamodb(results: dict[str, Any]) -> None:
    dynamodb = results["dynamodb"]
    item, other = ({"pk": {"S": "CUSTOMER#1"}, "sk": {"S": sk}, "version": {"N": "1"}} for sk in ("A", "B"))
    assert dynamodb["pages"] == [[item], [other]]
    assert dynamodb["paginator"] == [item, other]
    assert dynamodb["many"] == ["A", "B"]
    assert dynamodb["unprocessed"] == {}
    assert dynamodb["deleted"]


def test_errors_of_dynamodb_are_parsed(results: dict[str, Any]) -> None:
    dynamodb = results["dynamodb"]
    assert dynamodb["failed write"] == error("ConditionalCheckFailedException")
    reasons = ["None", "ConditionalCheckFailed"]
    assert dynamodb["failed transaction"] == error("TransactionCanceledException", reasons)
    assert dynamodb["no table"] == error("ResourceNotFoundException")


def test_events(results: dict[str, Any]) -> None:
    assert results["events"] == {"failed": 0, "entries": 1, "no bus": error("ResourceNotFoundException")}


def test_secrets_manager(results: dict[str, Any]) -> None:
    assert results["secretsmanager"] == {"value": "value", "no secret": error("ResourceNotFoundException")}


def test_sqs(results: dict[str, Any]) -> None:
    assert results["sqs"] == {"sent": ["0"], "no queue": error("AWS.SimpleQueueService.NonExistentQueue")}


def test_retries_in_each_mode(results: dict[str, Any]) -> None:
    """GIVEN a service that answers 500 or refuses connections THEN as many attempts are made as configured."""
    attempts = results["retries"]
    assert attempts
    assert {name: count for name, count in attempts.items() if not name.endswith(f" {count}")} == {}
    assert results["refused"] == 2


def test_certificates(results: dict[str, Any]) -> None:
    assert Path(results["certificates"]["path"]).is_relative_to(LAYER)
    assert results["certificates"]["count"] > 100


def error(code: str, reasons: list[str] | None = None) -> dict[str, Any]:
    """Return the parsed error. It has a class of its own, which botocore builds from the service's description."""
    return {"code": code, "modelled": True, "reasons": reasons or []}
