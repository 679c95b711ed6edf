"""`make check-change-set` fails if a change set would replace or delete a resource that contains data."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from cli.__main__ import main
from cli.change_set import PROTECTED_TYPES
from tests.infrastructure.template.deployed import transformed
from tests.integration.cli.conftest import CLOUDFORMATION_ARN, STACK_ID

CHANGE_SET = f"{CLOUDFORMATION_ARN}:changeSet/samcli-deploy1/change-set"
TABLE = ("Table", "AWS::DynamoDB::Table", "codat-customers-Table-1")
SECRET = ("CodatSecret", "AWS::SecretsManager::Secret", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:s-1")
BUCKET = ("UnpublishedChanges", "AWS::S3::Bucket", "codat-customers-unpublishedchanges-1")
KEY = ("Key", "AWS::KMS::Key", "1234abcd-12ab-34cd-56ef-1234567890ab")
FUNCTION = ("ReconcileFunction", "AWS::Lambda::Function", "codat-customers-ReconcileFunction-1")


def target(name: str, recreation: str) -> dict[str, Any]:
    return {
        "Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": recreation},
        "Evaluation": "Static",
        "ChangeSource": "DirectModification",
    }


def change(resource: tuple[str, str, str], action: str, **more: Any) -> dict[str, Any]:
    name, kind, physical_id = resource
    ids = {"LogicalResourceId": name, "ResourceType": kind, "PhysicalResourceId": physical_id}
    return {"Type": "Resource", "ResourceChange": {"Action": action, **ids, "Scope": [], "Details": [], **more}}


def modify(resource: tuple[str, str, str], replacement: str, *details: dict[str, Any]) -> dict[str, Any]:
    return change(resource, "Modify", Replacement=replacement, Scope=["Properties"], Details=list(details))


def remove(resource: tuple[str, str, str]) -> dict[str, Any]:
    return change(resource, "Remove", PolicyAction="Retain")


UPDATED_CODE = modify(FUNCTION, "False", target("Code", "Never"))
UPDATED_TABLE = modify(TABLE, "False", target("DeletionProtectionEnabled", "Never"))
NEW_BUCKET = {
    "Type": "Resource",
    "ResourceChange": {"Action": "Add", "LogicalResourceId": "B", "ResourceType": BUCKET[1]},
}


def answer(cloudformation: Stubber, *pages: list[dict[str, Any]], **more: Any) -> None:
    """Prepare the pages of DescribeChangeSet."""
    for number, changes in enumerate(pages):
        requested = {"ChangeSetName": CHANGE_SET, **({"NextToken": f"page-{number}"} if number else {})}
        next_token = {"NextToken": f"page-{number + 1}"} if number + 1 < len(pages) else {}
        response = {
            "ChangeSetName": "samcli-deploy1",
            "ChangeSetId": CHANGE_SET,
            "StackId": STACK_ID,
            "StackName": "codat-customers",
            "CreationTime": datetime(2026, 11, 26, 18, tzinfo=UTC),
            "ExecutionStatus": "AVAILABLE",
            "Status": "CREATE_COMPLETE",
            "Changes": changes,
            **next_token,
            **more,
        }
        cloudformation.add_response("describe_change_set", response, requested)


def check(capsys: pytest.CaptureFixture[str], **environment: str) -> tuple[int, list[str], str]:
    status = main(["check-change-set"], environment or {"CHANGE_SET": CHANGE_SET})
    output = capsys.readouterr()
    assert len(output.err.splitlines()) == (1 if status else 0)
    return status, output.out.splitlines(), output.err


def test_a_change_set_that_keeps_the_data_passes(cloudformation: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN new, changed and removed resources, but no protected one that is replaced or removed THEN it passes."""
    replaced_function = modify(FUNCTION, "True", target("FunctionName", "Always"))
    answer(cloudformation, [UPDATED_CODE, UPDATED_TABLE, NEW_BUCKET], [replaced_function, remove(FUNCTION)])
    assert check(capsys) == (
        0,
        ["Changes: 1 Add, 3 Modify, 1 Remove. No table, secret, bucket or key is replaced or deleted."],
        "",
    )


@pytest.mark.parametrize(
    ("dangerous", "line"),
    [
        (
            modify(TABLE, "True", target("KeySchema", "Always"), target("Tags", "Never")),
            "Table (AWS::DynamoDB::Table): Modify, replacement True, because of KeySchema",
        ),
        (
            modify(SECRET, "Conditional", target("Name", "Conditionally"), target("Name", "Conditionally")),
            "CodatSecret (AWS::SecretsManager::Secret): Modify, replacement Conditional, because of Name",
        ),
        (remove(BUCKET), "UnpublishedChanges (AWS::S3::Bucket): Remove"),
        (remove(KEY), "Key (AWS::KMS::Key): Remove"),
        (change(TABLE, "Dynamic"), "Table (AWS::DynamoDB::Table): Dynamic"),
        (change(TABLE, "Modify"), "Table (AWS::DynamoDB::Table): Modify"),
    ],
)
def test_a_dangerous_change_on_any_page_fails(
    cloudformation: Stubber, capsys: pytest.CaptureFixture[str], dangerous: dict[str, Any], line: str
) -> None:
    """GIVEN a change that replaces or deletes data, or may do so, on the second page THEN it is named."""
    answer(cloudformation, [UPDATED_CODE], [dangerous], [UPDATED_TABLE])
    status, lines, error = check(capsys)
    assert (status, lines) == (1, [line])
    assert "a table, secret, bucket or key: 1." in error


def test_every_dangerous_change_is_named(cloudformation: Stubber, capsys: pytest.CaptureFixture[str]) -> None:
    answer(cloudformation, [remove(TABLE), UPDATED_CODE, remove(SECRET)])
    status, lines, error = check(capsys)
    assert (status, len(lines)) == (1, 2)
    assert "a table, secret, bucket or key: 2." in error


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_a_change_set_without_changes_passes(
    cloudformation: Stubber, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    answer(cloudformation, [], Status="FAILED", StatusReason=reason, ExecutionStatus="UNAVAILABLE")
    assert check(capsys) == (0, ["The change set contains no changes."], "")


@pytest.mark.parametrize("status", ["FAILED", "CREATE_PENDING", "CREATE_IN_PROGRESS", "DELETE_COMPLETE"])
def test_an_incomplete_change_set_fails(
    cloudformation: Stubber, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    """GIVEN a change set that CloudFormation has not completed THEN its list of changes proves nothing."""
    answer(cloudformation, [UPDATED_CODE], Status=status, StatusReason="Reason of CloudFormation.")
    result, lines, error = check(capsys)
    assert (result, lines) == (1, [])
    assert f"it is {status}" in error
    assert "Reason of CloudFormation." in error


def test_an_unknown_change_set_is_reported_in_one_line(
    cloudformation: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = {"ChangeSetName": "c", "StackName": "s"}
    message = "ChangeSet [c] does not exist"
    cloudformation.add_client_error("describe_change_set", "ChangeSetNotFound", message, 404, expected_params=expected)
    status, lines, error = check(capsys, STACK="s", CHANGE_SET="c")
    assert (status, lines) == (1, [])
    assert "ChangeSet [c] does not exist" in error


def test_every_resource_that_the_template_retains_is_protected() -> None:
    """Such a resource contains data, or is a policy, which contains none."""
    retained = {
        resource["Type"]
        for resource in transformed()["Resources"].values()
        if resource.get("UpdateReplacePolicy", "Delete") != "Delete"
    }
    assert retained
    assert retained - {"AWS::S3::BucketPolicy", "AWS::IAM::ManagedPolicy"} <= PROTECTED_TYPES
