"""`tools/deploy.sh` executes a change set only after it was checked."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.e2e.artifact.make import ROOT, SAM, make

CHANGE_SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/samcli-deploy1/change-set"
STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/codat-customers-prod/stack-id"
FLAGS = "--no-confirm-changeset --no-execute-changeset --no-fail-on-empty-changeset --no-progressbar"
DEPLOY = [f"sam deploy --config-env prod {FLAGS}"]
CHECK = [f"python -m cli check-change-set --change-set {CHANGE_SET}"]
DESCRIBE = [
    f"aws cloudformation describe-change-set --change-set-name {CHANGE_SET} --query StackId --output text",
    f"aws cloudformation describe-stacks --stack-name {STACK} --query Stacks[0].StackStatus --output text",
]
EXECUTE = [f"aws cloudformation execute-change-set --change-set-name {CHANGE_SET}"]

# Takes the place of SAM CLI, Python and the AWS CLI: logs its call, prints the output and fails as the test asks.
COMMAND = f"""#!{SAM / "python"} -IS
import json, os, sys
calls = os.path.join({{folder!r}}, "calls")
name = os.path.basename(sys.argv[0])
words = [name, *sys.argv[1:]]
open(calls, "a").write(" ".join(words) + "\\n")
outputs, failing = json.load(open(os.path.join({{folder!r}}, "behaviour")))
for text, output in outputs.items():
    if text in words:
        print(output)
sys.exit(1 if failing in words else 0)
"""


@cache
def sam_output() -> dict[str, str]:
    """Return what the installed SAM CLI prints after it created a change set, and if there are no changes."""
    make(".sam/.synced")
    code = (
        "import json\n"
        "from samcli.commands.deploy.deploy_context import DeployContext\n"
        "from samcli.commands.deploy.exceptions import ChangeEmptyError\n"
        f"created = DeployContext.MSG_SHOWCASE_CHANGESET.format(changeset_id={CHANGE_SET!r})\n"
        "print(json.dumps({'created': created, 'none': str(ChangeEmptyError(stack_name='s'))}))\n"
    )
    done = subprocess.run([SAM / "python", "-c", code], capture_output=True, text=True, check=True)
    outputs: dict[str, str] = json.loads(done.stdout)
    return outputs


def deploy(folder: Path, sam: str, *, failing: str = "", status: str = "UPDATE_COMPLETE") -> tuple[int, list[str]]:
    """Run the script, and return its exit status and the commands that it ran."""
    outputs = {
        "deploy": sam,
        "describe-change-set": STACK,
        "describe-stacks": status,
        "describe-stack-events": "Table: failed",
    }
    (folder / "behaviour").write_text(json.dumps([outputs, failing]))
    (folder / "calls").touch()
    for name in (".sam/bin/sam", ".venv/bin/python", "bin/aws"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(COMMAND.format(folder=str(folder)))
        (folder / name).chmod(0o755)
    path = f"{folder / 'bin'}:{os.defpath}"
    done = subprocess.run([ROOT / "tools/deploy.sh", "prod"], cwd=folder, env={"PATH": path}, check=False)
    return done.returncode, (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize(("status", "wait"), [("REVIEW_IN_PROGRESS", "create"), ("UPDATE_ROLLBACK_COMPLETE", "update")])
def test_a_checked_change_set_is_executed(tmp_path: Path, status: str, wait: str) -> None:
    """GIVEN a change set that passes the check THEN it is executed, and the script waits for the stack."""
    waiting = f"aws cloudformation wait stack-{wait}-complete --stack-name {STACK}"
    expected = [*DEPLOY, *CHECK, *DESCRIBE, *EXECUTE, waiting]
    assert deploy(tmp_path, sam_output()["created"], status=status) == (0, expected)


def test_a_dangerous_change_set_is_not_executed(tmp_path: Path) -> None:
    assert deploy(tmp_path, sam_output()["created"], failing="check-change-set") == (1, [*DEPLOY, *CHECK])


def test_without_changes_nothing_is_executed(tmp_path: Path) -> None:
    assert deploy(tmp_path, sam_output()["none"]) == (0, DEPLOY)


def test_a_failure_of_sam_fails_the_deployment(tmp_path: Path) -> None:
    """GIVEN a failure after the change set was created THEN it is not executed."""
    assert deploy(tmp_path, sam_output()["created"], failing="deploy") == (1, DEPLOY)


def test_an_unknown_output_fails_the_deployment(tmp_path: Path) -> None:
    """GIVEN another version of SAM CLI, whose output has no change set THEN a deployment is not skipped silently."""
    assert deploy(tmp_path, "Change set created") == (1, DEPLOY)


def test_a_failed_update_fails_the_deployment(tmp_path: Path) -> None:
    """GIVEN an update that is rolled back THEN the resources that failed are shown."""
    status, calls = deploy(tmp_path, sam_output()["created"], failing="wait")
    assert status == 1
    assert calls[-1].startswith(f"aws cloudformation describe-stack-events --stack-name {STACK}")
