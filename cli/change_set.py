"""Stop a deployment whose change set would replace or delete a resource that contains data.

Such a resource is retained, but the stack goes on with a new, empty one, or with none.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3

from cli.deployment import aws_config
from cli.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Change = Mapping[str, Any]

PROTECTED_TYPES = frozenset(
    {"AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::S3::Bucket", "AWS::SecretsManager::Secret"},
)
_COMPLETE = "CREATE_COMPLETE"
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
"""CloudFormation's reasons for the status FAILED of a change set without changes."""


def check_change_set(stack: str, change_set: str) -> None:
    """Print each dangerous change, and raise OperatorError if there is one; otherwise print the number of changes."""
    status, reason, changes = _read(stack, change_set)
    if status == "FAILED" and any(text in reason for text in _NO_CHANGES):
        print("The change set contains no changes.")
        return
    if status != _COMPLETE:
        raise OperatorError(f"The change set was not checked, because it is {status}, not {_COMPLETE}. {reason}")
    dangerous = [change for change in changes if _is_dangerous(change)]
    for change in dangerous:
        print(_line(change))
    if dangerous:
        raise OperatorError(
            f"Changes that replace or delete a table, secret, bucket or key: {len(dangerous)}. "
            "Execute the change set only if you intend them."
        )
    actions = Counter(str(change["Action"]) for change in changes)
    counts = ", ".join(f"{number} {action}" for action, number in sorted(actions.items())) or "none"
    print(f"Changes: {counts}. No table, secret, bucket or key is replaced or deleted.")


def _read(stack: str, change_set: str) -> tuple[str, str, list[Change]]:
    """Return the status, its reason, and the changes of resources from all pages."""
    client: Any = boto3.client("cloudformation", config=aws_config(attempts=5))
    pages = client.get_paginator("describe_change_set").paginate(
        ChangeSetName=change_set, **({"StackName": stack} if stack else {})
    )
    status, reason, changes = "", "", []
    for page in pages:
        status, reason = page["Status"], page.get("StatusReason", "")
        changes += [change["ResourceChange"] for change in page.get("Changes", []) if "ResourceChange" in change]
    return status, reason, changes


def _is_dangerous(change: Change) -> bool:
    """Return whether a protected resource is neither new nor certain to be changed in place."""
    is_new = change["Action"] in {"Add", "Import"}
    stays = change["Action"] == "Modify" and change.get("Replacement") == "False"
    return change["ResourceType"] in PROTECTED_TYPES and not is_new and not stays


def _line(change: Change) -> str:
    replacement = f", replacement {change['Replacement']}" if "Replacement" in change else ""
    targets = [detail.get("Target", {}) for detail in change.get("Details", [])]
    properties = dict.fromkeys(
        target.get("Name") or target.get("Attribute", "")
        for target in targets
        if target.get("RequiresRecreation") in {"Always", "Conditionally"}
    )
    causes = f", because of {', '.join(properties)}" if properties else ""
    return f"{change['LogicalResourceId']} ({change['ResourceType']}): {change['Action']}{replacement}{causes}"
