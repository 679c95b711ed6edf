"""Protect a stack and the resources that contain data against replacement and deletion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError, WaiterError

from cli.deployment import aws_config
from cli.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

STACK_POLICY = Path(__file__).parents[1] / "stack-policy.json"
PARAMETER = "DeletionProtection"
_UPDATABLE = {
    "CREATE_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
}


def protect(stack: str) -> None:
    """Set the stack policy, termination protection and the table's deletion protection, each if it is missing."""
    client: Any = boto3.client("cloudformation", config=aws_config(attempts=5))
    description = _describe(client, stack)
    steps = [
        _set_stack_policy(client, stack),
        _enable_termination_protection(client, stack, description),
        _protect_table(client, stack, description),
    ]
    if not any(steps):
        print(f"The stack {stack} is protected already.")


def _describe(client: Any, stack: str) -> Mapping[str, Any]:
    """Return the stack. Raises OperatorError if it does not exist or can't be updated, before anything is changed."""
    try:
        description: Mapping[str, Any] = client.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        raise OperatorError(f"There is no stack {stack} in {client.meta.region_name}.") from error
    status = description["StackStatus"]
    if status not in _UPDATABLE:
        raise OperatorError(f"The stack {stack} is {status}, so it can't be updated now. Nothing was changed.")
    if PARAMETER not in _parameters(description):
        raise OperatorError(f"The stack {stack} has no parameter {PARAMETER}. Check the stack's name.")
    return description


def _set_stack_policy(client: Any, stack: str) -> bool:
    policy = json.loads(STACK_POLICY.read_text())
    body = client.get_stack_policy(StackName=stack).get("StackPolicyBody")
    current = json.loads(body) if body else None
    if current == policy:
        return False
    client.set_stack_policy(StackName=stack, StackPolicyBody=json.dumps(policy))
    if current:
        print(f"Replaced the stack policy {json.dumps(current)}")
    print(f"Set the stack policy of {STACK_POLICY.name}.")
    return True


def _enable_termination_protection(client: Any, stack: str, description: Mapping[str, Any]) -> bool:
    if description.get("EnableTerminationProtection"):
        return False
    client.update_termination_protection(StackName=stack, EnableTerminationProtection=True)
    print("Enabled termination protection.")
    return True


def _protect_table(client: Any, stack: str, description: Mapping[str, Any]) -> bool:
    """Update only the parameter, and wait."""
    parameters = _parameters(description)
    if parameters[PARAMETER] == "true":
        return False
    others = [{"ParameterKey": name, "UsePreviousValue": True} for name in parameters if name != PARAMETER]
    client.update_stack(
        StackName=stack,
        UsePreviousTemplate=True,
        Parameters=[*others, {"ParameterKey": PARAMETER, "ParameterValue": "true"}],
        # The template's transform is a macro, so CloudFormation requires this capability without a change set.
        Capabilities=sorted({*description.get("Capabilities", []), "CAPABILITY_AUTO_EXPAND"}),
    )
    print(f"Updating the stack with {PARAMETER}=true …", flush=True)
    try:
        client.get_waiter("stack_update_complete").wait(StackName=stack, WaiterConfig={"Delay": 5, "MaxAttempts": 360})
    except WaiterError as error:
        raise OperatorError(f"The update did not complete: look at the events of the stack {stack}. {error}") from error
    print("The table is protected against deletion.")
    return True


def _parameters(description: Mapping[str, Any]) -> dict[str, str]:
    return {item["ParameterKey"]: item["ParameterValue"] for item in description.get("Parameters", [])}
