"""The documented policies of the deploying role and the operator's role allow what the commands and documents do.

conftest.py compares the calls of every command with the actions that its help lists.
"""

import json

import botocore.session
import pytest

from tests.infrastructure.permissions.roles import actions_in, documented_actions, is_allowed, policy
from tests.infrastructure.template.deployed import as_list
from tests.integration.cli.conftest import NEEDS

DEPLOYING, OPERATOR = policy("deploying"), policy("operator")
DEPLOYING_COMMANDS = {"protect", "check-change-set"}
DOCUMENTED = set(documented_actions("deploy.md", "operations.md", "app-webhook.md"))
BY_ADMINISTRATORS = {
    "events:CreateEventBus",
    "iam:AttachRolePolicy",
    "iam:CreatePolicy",
    "service-quotas:RequestServiceQuotaIncrease",
}
"""Of the documented commands, those before a deployment."""
INDIRECT = {
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
    "sqs:DeleteMessage",
    "sqs:SendMessage",
    # EventBridge stores a connection's key in a secret of its own.
    "events:DescribeConnection",
    "secretsmanager:DescribeSecret",
    "secretsmanager:UpdateSecret",
}
"""Needed by AWS for a documented command."""
MAX_CHARACTERS = 6144
"""Of a managed policy, without white space."""


def names(actions: set[str]) -> set[str]:
    return {action.partition(":")[2] for action in actions}


@pytest.mark.parametrize("command", sorted(NEEDS.keys() - DEPLOYING_COMMANDS))
def test_the_operator_may_run_every_command(command: str) -> None:
    assert NEEDS[command]
    assert NEEDS[command] - names(set(actions_in(OPERATOR))) == set()


@pytest.mark.parametrize("command", sorted(DEPLOYING_COMMANDS))
def test_the_deploying_role_may_run_its_commands(command: str) -> None:
    services = {"UpdateTable": "dynamodb"}
    needed = [f"{services.get(name, 'cloudformation')}:{name}" for name in NEEDS[command]]
    assert needed
    assert [action for action in needed if not is_allowed(DEPLOYING, action)] == []


def test_one_of_the_two_may_do_whatever_the_documents_say() -> None:
    allowed = {action for action in DOCUMENTED if is_allowed(DEPLOYING, action) or is_allowed(OPERATOR, action)}
    assert len(DOCUMENTED) > 20
    assert DOCUMENTED - allowed - BY_ADMINISTRATORS == set()


def test_the_operator_may_do_nothing_else() -> None:
    needed = set().union(*NEEDS.values()) | names(DOCUMENTED | INDIRECT)
    assert {action for action in actions_in(OPERATOR) if action.partition(":")[2] not in needed} == set()


def test_the_operators_policy_fits_and_names_its_resources() -> None:
    """GIVEN an index THEN it has an ARN of its own, which the table's does not cover."""
    text = json.dumps(OPERATOR, separators=(",", ":"))
    assert len(text.replace("STACK", "codat-customers-staging")) <= MAX_CHARACTERS
    assert [each["Action"] for each in OPERATOR["Statement"] if each["Resource"] == "*"] == ["dynamodb:ListBackups"]
    [querying] = [each for each in OPERATOR["Statement"] if "dynamodb:Query" in each["Action"]]
    assert "arn:aws:dynamodb:*:*:table/STACK-*/index/*" in querying["Resource"]


def test_every_action_of_the_operator_is_an_operation_of_its_service() -> None:
    session = botocore.session.get_session()
    for action in actions_in(OPERATOR):
        service, _, name = action.partition(":")
        other = {
            "ConditionCheckItem": "TransactWriteItems",
            "InvokeFunction": "Invoke",
            "ListBucket": "ListObjectsV2",
        }
        assert other.get(name, name) in session.get_service_model(service).operation_names, action


def test_the_operator_may_not_delete_the_stacks_table() -> None:
    """GIVEN a table that `make restore-table` restored THEN the stack may use it, so it is none of those."""
    [deleting] = [each for each in OPERATOR["Statement"] if "dynamodb:DeleteTable" in as_list(each["Action"])]
    assert deleting["Resource"] == "arn:aws:dynamodb:*:*:table/STACK-restored-items*"
