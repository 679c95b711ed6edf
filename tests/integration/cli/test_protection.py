"""`make protect` protects the stack, its table, secret and bucket against replacement and deletion."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from cli.__main__ import main
from cli.change_set import PROTECTED_TYPES
from cli.protection import PARAMETER, STACK_POLICY
from tests.e2e.docs.markdown import ROOT
from tests.infrastructure.template.deployed import transformed
from tests.integration.cli.conftest import STACK_ID
from tests.integration.cli.test_documents import examples_in

NAME = {"StackName": "codat-customers"}
POLICY = json.loads((ROOT / "stack-policy.json").read_text())
PARAMETERS = {"Architecture": "arm64", "CodatTagKey": "uid-prod", "WebhookConcurrency": "50"}


def describe(
    cloudformation: Stubber, status: str = "CREATE_COMPLETE", *, protection: str | None = "false", **more: Any
) -> None:
    parameters = {**PARAMETERS, **({PARAMETER: protection} if protection else {})}
    stack = {
        **NAME,
        "StackId": STACK_ID,
        "CreationTime": datetime(2026, 11, 26, tzinfo=UTC),
        "StackStatus": status,
        "Capabilities": ["CAPABILITY_IAM"],
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        **more,
    }
    cloudformation.add_response("describe_stacks", {"Stacks": [stack]}, NAME)


def expect_policy(cloudformation: Stubber, current: dict[str, Any] | None, *, is_set: bool = True) -> None:
    body = {"StackPolicyBody": json.dumps(current, indent=1)} if current else {}
    cloudformation.add_response("get_stack_policy", body, NAME)
    if is_set:
        cloudformation.add_response("set_stack_policy", {}, {**NAME, "StackPolicyBody": json.dumps(POLICY)})


def expect_termination_protection(cloudformation: Stubber) -> None:
    enabled = {**NAME, "EnableTerminationProtection": True}
    cloudformation.add_response("update_termination_protection", {"StackId": STACK_ID}, enabled)


def expect_update(cloudformation: Stubber) -> None:
    previous = [{"ParameterKey": key, "UsePreviousValue": True} for key in PARAMETERS]
    expected = {
        **NAME,
        "UsePreviousTemplate": True,
        "Parameters": [*previous, {"ParameterKey": PARAMETER, "ParameterValue": "true"}],
        "Capabilities": ["CAPABILITY_AUTO_EXPAND", "CAPABILITY_IAM"],
    }
    cloudformation.add_response("update_stack", {"StackId": STACK_ID}, expected)


def protect(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], list[str]]:
    status = main(["protect"], {"STACK": "codat-customers"})
    output = capsys.readouterr()
    return status, output.out.splitlines(), output.err.splitlines()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.waiter.time.sleep", lambda _: None)


def test_a_new_stack_is_protected(cloudformation: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN an unprotected stack THEN three protections are set, and the parameter is the only change of the update."""
    describe(cloudformation)
    expect_policy(cloudformation, None)
    expect_termination_protection(cloudformation)
    expect_update(cloudformation)
    describe(cloudformation, "UPDATE_IN_PROGRESS", protection="true")
    describe(cloudformation, "UPDATE_COMPLETE", protection="true")
    shown = examples_in("docs/operations.md", "Deploying")["make protect STACK=codat-customers-dev"]
    assert protect(capsys) == (0, shown.splitlines(), [])
    assert shown.splitlines()[-1] == "The table is protected against deletion."


def test_a_protected_stack_stays(cloudformation: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN a protected stack, and a policy with other white space THEN nothing is changed."""
    describe(cloudformation, "UPDATE_COMPLETE", protection="true", EnableTerminationProtection=True)
    expect_policy(cloudformation, POLICY, is_set=False)
    assert protect(capsys) == (0, ["The stack codat-customers is protected already."], [])


def test_an_interrupted_command_is_continued(cloudformation: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN a stack with the policy only THEN the missing protections are set."""
    describe(cloudformation, protection="true")
    expect_policy(cloudformation, POLICY, is_set=False)
    expect_termination_protection(cloudformation)
    assert protect(capsys) == (0, ["Enabled termination protection."], [])


def test_another_stack_policy_is_printed(cloudformation: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN another stack policy THEN it is replaced, and printed so that the operator can merge both."""
    other = {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "Update:*", "Resource": "*"}]}
    describe(cloudformation, protection="true", EnableTerminationProtection=True)
    expect_policy(cloudformation, other)
    status, lines, _ = protect(capsys)
    assert (status, lines[0]) == (0, f"Replaced the stack policy {json.dumps(other)}")


def test_an_unknown_stack_is_reported_in_one_line(cloudformation: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    message = "Stack with id codat-customers does not exist"
    cloudformation.add_client_error("describe_stacks", "ValidationError", message, 400, expected_params=NAME)
    assert protect(capsys) == (1, [], ["There is no stack codat-customers in eu-west-1."])


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS", "UPDATE_FAILED"])
def test_a_stack_that_cannot_be_updated_stays(
    cloudformation: Stubber, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    describe(cloudformation, status)
    expected = f"The stack codat-customers is {status}, so it can't be updated now. Nothing was changed."
    assert protect(capsys) == (1, [], [expected])


def test_another_projects_stack_stays(cloudformation: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN a stack without the parameter THEN nothing is changed."""
    describe(cloudformation, protection=None)
    status, lines, [error] = protect(capsys)
    assert (status, lines) == (1, [])
    assert "has no parameter DeletionProtection" in error


def test_a_failed_update_is_reported(cloudformation: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN an update that is rolled back THEN the command fails, and names where to look."""
    describe(cloudformation, EnableTerminationProtection=True)
    expect_policy(cloudformation, POLICY, is_set=False)
    expect_update(cloudformation)
    describe(cloudformation, "UPDATE_ROLLBACK_COMPLETE")
    status, lines, [error] = protect(capsys)
    assert (status, lines) == (1, ["Updating the stack with DeletionProtection=true …"])
    assert "look at the events of the stack codat-customers" in error


def test_missing_permissions_are_reported_in_one_line(
    cloudformation: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    describe(cloudformation)
    cloudformation.add_client_error("get_stack_policy", "AccessDenied", "User is not authorized", 403)
    status, lines, [error] = protect(capsys)
    assert (status, lines) == (1, [])
    assert "User is not authorized" in error


def test_the_stack_policy_protects_every_resource_with_data() -> None:
    """CloudFormation refuses a policy that names a resource which the stack lacks. Some resources are optional, so the
    policy names types. A statement allows the other updates, because the default denies them.
    """
    allow, deny = POLICY["Statement"]
    assert (allow["Effect"], allow["Action"], allow["Resource"]) == ("Allow", "Update:*", "*")
    assert (deny["Effect"], set(deny["Action"]), deny["Resource"]) == ("Deny", {"Update:Replace", "Update:Delete"}, "*")
    assert set(deny["Condition"]["StringEquals"]["ResourceType"]) == PROTECTED_TYPES


def test_the_parameter_is_the_templates() -> None:
    template = transformed()
    assert template["Parameters"][PARAMETER]["AllowedValues"] == ["true", "false"]
    assert template["Resources"]["Table"]["Properties"]["DeletionProtectionEnabled"] == {"Ref": PARAMETER}
    assert ROOT / "stack-policy.json" == STACK_POLICY
