"""The plugin fails a run because of differences, in a single process and with workers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.artifact.make import ROOT

# The function may only read this key.
CALLING = """
import boto3
from botocore.stub import Stubber

CODE = "def handler(client):\\n    client.put_item(TableName='table', Item={'pk': {'S': 'CUSTOMER#acme'}})"

def test_calling():
    app = {"__name__": "functions.read_customers.app"}
    exec(CODE, app)
    client = boto3.client("dynamodb", "eu-west-1", aws_access_key_id="id", aws_secret_access_key="key")
    with Stubber(client) as stubber:
        stubber.add_response("put_item", {})
        app["handler"](client)
"""
MISSING = "read_customers may not dynamodb:PutItem table CUSTOMER#, which test_calling.py::test_calling needs"
UNUSED = "plan_reconcile may sqs:SendMessage queue, which no test needs"


@pytest.mark.parametrize(("workers", "selection"), [(1, []), (0, ["--deselect=nothing"])], ids=["all", "selected"])
def test_a_run_fails_for_missing_and_a_full_run_for_unused_permissions(
    tmp_path: Path, workers: int, selection: list[str]
) -> None:
    (tmp_path / "test_calling.py").write_text(CALLING)
    run = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                f"--override-ini=testpaths={tmp_path}",
                "-p",
                "tests.infrastructure.permissions.plugin",
            ),
            *("-p", "no:cacheprovider", f"--numprocesses={workers}", *selection),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert "1 passed" in run.stdout
    assert MISSING in run.stdout
    assert (UNUSED in run.stdout) is (not selection)
