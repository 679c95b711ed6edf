"""The layer keeps botocore's data of the clients' services, all modules, and what scanners read."""

import gzip
import json
from pathlib import Path

import pytest

from tools.trim_layer import CLIENTS, client_services, trim

ENDPOINTS = {
    "partitions": [
        {
            "partition": "aws",
            "defaults": {"hostname": "{service}.{region}.{dnsSuffix}"},
            "regions": {"eu-west-1": {}},
            "services": {"queue-hosts": {"endpoints": {"eu-west-1": {}}}, "ec2": {"endpoints": {}}},
        },
        {"partition": "aws-cn", "regions": {"cn-north-1": {}}, "services": {"ec2": {"endpoints": {}}}},
    ]
}
KEPT = (
    "botocore/__init__.py",
    "botocore/docs/__init__.py",
    "botocore/data/_retry.json",
    "botocore/data/partitions.json",
    "botocore/data/sqs/2012-11-05/paginators-1.json",
    "botocore-1.0.dist-info/METADATA",
    "botocore-1.0.dist-info/WHEEL",
    "botocore-1.0.dist-info/LICENSE.txt",
    "certifi/cacert.pem",
)
REMOVED = (
    "botocore/cacert.pem",
    "botocore/data/ec2/2016-11-15/service-2.json.gz",
    "botocore/data/sqs/2012-11-05/examples-1.json",
    "botocore-1.0.dist-info/RECORD",
    "certifi/py.typed",
    "certifi/tests/examples/test_certifi.py",
    "pydantic_core/stubs/__init__.pyi",
)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A layer whose clients are those of SQS, with hosts of another name."""
    packages = tmp_path / "SharedLayer/python"
    for name in (*KEPT, *REMOVED):
        write(packages / name, b"")
    write_clients(packages, 'SERVICES: Final = ("sqs",)')
    model = {"metadata": {"endpointPrefix": "queue-hosts"}}
    write(packages / "botocore/data/sqs/2012-11-05/service-2.json.gz", gzip.compress(json.dumps(model).encode()))
    write(packages / "botocore/data/endpoints.json", json.dumps(ENDPOINTS).encode())
    return packages


def test_what_no_client_loads_is_removed(tmp_path: Path, packages: Path) -> None:
    for _ in range(2):  # a second time changes nothing
        trim(tmp_path)
        assert {name for name in KEPT if not (packages / name).exists()} == set()
        assert {name for name in REMOVED if (packages / name).exists()} == set()
        assert {path.name for path in (packages / "botocore/data").iterdir() if path.is_dir()} == {"sqs"}
        assert not (packages / "pydantic_core/stubs").exists()


def test_endpoints_keep_all_partitions_and_regions_of_the_services(tmp_path: Path, packages: Path) -> None:
    trim(tmp_path)
    aws, china = json.loads((packages / "botocore/data/endpoints.json").read_text())["partitions"]
    original = ENDPOINTS["partitions"][0]
    assert aws == original | {"services": {"queue-hosts": {"endpoints": {"eu-west-1": {}}}}}
    assert china == {"partition": "aws-cn", "regions": {"cn-north-1": {}}, "services": {}}


def test_botocores_certificates_stay_if_there_are_no_others(tmp_path: Path, packages: Path) -> None:
    (packages / "certifi/cacert.pem").unlink()
    trim(tmp_path)
    assert (packages / "botocore/cacert.pem").exists()


def test_a_build_without_the_layer_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "CreateLinkFunction/py.typed", b"")
    trim(tmp_path)
    assert (tmp_path / "CreateLinkFunction/py.typed").exists()


@pytest.mark.parametrize(
    "source",
    [
        'SERVICES: Final = ("dynamodb", "sqs")',
        'SERVICES = ("dynamodb", "sqs")',
        'import unknown_package\n\nNAMES = ("ec2",)\nSERVICES: Final = ("dynamodb", "sqs")',
    ],
)
def test_services_are_read_without_an_import(tmp_path: Path, source: str) -> None:
    write_clients(tmp_path, source)
    assert client_services(tmp_path) == ("dynamodb", "sqs")


def test_a_module_without_the_constant_fails(tmp_path: Path) -> None:
    write_clients(tmp_path, 'NAMES = ("sqs",)')
    with pytest.raises(ValueError, match="no constant SERVICES"):
        client_services(tmp_path)


def test_a_service_without_data_fails(tmp_path: Path, packages: Path) -> None:
    write_clients(packages, 'SERVICES = ("sqs", "queues")')
    with pytest.raises(ValueError, match="no service queues"):
        trim(tmp_path)


def write_clients(packages: Path, source: str) -> None:
    write(packages / CLIENTS, source.encode())


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
