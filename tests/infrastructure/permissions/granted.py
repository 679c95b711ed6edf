"""What the template's roles permit, and how that compares with what was needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.infrastructure.permissions.needed import Permission
from tests.infrastructure.template.deployed import as_list, properties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set as AbstractSet

_RESOURCES = {
    "{'Fn::GetAtt': ['Table', 'Arn']}": "table",
    "{'Fn::Sub': '${Table.Arn}/index/byCustomer'}": "index/byCustomer",
    "{'Fn::Sub': '${Table.Arn}/index/byStatus'}": "index/byStatus",
    "{'Fn::GetAtt': ['Table', 'StreamArn']}": "stream",
    "{'Fn::Sub': '${Table.Arn}/stream/*'}": "streams",
    "{'Ref': 'CodatSecret'}": "secret",
    "{'Fn::GetAtt': ['ReconcileQueue', 'Arn']}": "queue",
    "{'Fn::Sub': 'arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}'}": "bus",
    "{'Fn::GetAtt': ['UnpublishedChanges', 'Arn']}": "bucket",
    "{'Fn::Sub': '${UnpublishedChanges.Arn}/*'}": "objects",
}
_NEEDED_BY_LAMBDA = {
    # Reading them for the function.
    "stream": [
        Permission("dynamodb:DescribeStream", "stream"),
        Permission("dynamodb:GetRecords", "stream"),
        Permission("dynamodb:GetShardIterator", "stream"),
        Permission("dynamodb:ListStreams", "streams"),
    ],
    "queue": [
        Permission("sqs:DeleteMessage", "queue"),
        Permission("sqs:GetQueueAttributes", "queue"),
        Permission("sqs:ReceiveMessage", "queue"),
    ],
    # Keeping what the function could not publish.
    "bucket": [Permission("s3:ListBucket", "bucket"), Permission("s3:PutObject", "objects")],
}


def granted(template: dict[str, Any]) -> dict[str, list[Permission]]:
    """By function, named as its folder is; a permission for each action and resource of each statement."""
    found: dict[str, list[Permission]] = {}
    roles = properties(template, "AWS::IAM::Role")
    for function in properties(template, "AWS::Lambda::Function").values():
        policies = roles[function["Role"]["Fn::GetAtt"][0]]["Policies"]
        statements = [one for policy in policies for one in policy["PolicyDocument"]["Statement"]]
        found[_folder(function)] = [permission for statement in statements for permission in _permissions(statement)]
    return found


def needed_by_lambda(template: dict[str, Any]) -> dict[str, set[Permission]]:
    """With a function's role, but not by its code: for where its events come from, and where failed ones go."""
    functions = properties(template, "AWS::Lambda::Function")
    found: dict[str, set[Permission]] = {}
    for source in properties(template, "AWS::Lambda::EventSourceMapping").values():
        ends = [source["EventSourceArn"]]
        if "DestinationConfig" in source:
            ends.append(source["DestinationConfig"]["OnFailure"]["Destination"])
        needs = found.setdefault(_folder(functions[source["FunctionName"]["Ref"]]), set())
        needs.update(need for end in ends for need in _NEEDED_BY_LAMBDA[_RESOURCES[str(end)]])
    return found


def _folder(function: Mapping[str, Any]) -> str:
    _, name, _, _ = function["Handler"].split(".")
    return str(name)


def _permissions(statement: Mapping[str, Any]) -> Iterator[Permission]:
    keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", [])
    for action in as_list(statement["Action"]):
        for resource in as_list(statement["Resource"]):
            yield Permission(action, _RESOURCES[str(resource)], tuple(key.removesuffix("*") for key in keys))


def permits(permission: Permission, need: Permission) -> bool:
    """All keys of a request by one statement: AWS doesn't say whether it judges them one by one."""
    return (permission.action, permission.resource) == (need.action, need.resource) and (
        set(need.keys) <= set(permission.keys)
    )


def missing(permitted: list[Permission], needs: AbstractSet[Permission]) -> set[Permission]:
    return {need for need in needs if not any(permits(permission, need) for permission in permitted)}


def unused(permitted: list[Permission], needs: AbstractSet[Permission]) -> set[Permission]:
    """Each key by itself."""
    used = {(need.action, need.resource, key) for need in needs for key in need.keys or ("",)}
    return {
        Permission(permission.action, permission.resource, (key,) if key else ())
        for permission in permitted
        for key in permission.keys or ("",)
        if (permission.action, permission.resource, key) not in used
    }
