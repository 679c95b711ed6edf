"""The permissions that the template's roles grant, and their comparison with the needed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.infrastructure.permissions.needed import Permission
from tests.infrastructure.template.deployed import as_list, function_of, properties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set as AbstractSet

_TABLE = "{'Fn::If': ['OwnsTable', {'Fn::GetAtt': ['Table', 'Arn']}, {'Ref': 'ExistingTableArn'}]}"
_RESOURCES = {
    _TABLE: "table",
    f"{{'Fn::Join': ['/index/', [{_TABLE}, 'byCustomer']]}}": "index/byCustomer",
    f"{{'Fn::Join': ['/index/', [{_TABLE}, 'byStatus']]}}": "index/byStatus",
    f"{{'Fn::Join': ['/index/', [{_TABLE}, 'byAttention']]}}": "index/byAttention",
    "{'Fn::If': ['OwnsTable', {'Fn::GetAtt': ['Table', 'StreamArn']}, {'Ref': 'ExistingTableStreamArn'}]}": "stream",
    f"{{'Fn::Join': ['/stream/', [{_TABLE}, '*']]}}": "streams",
    "{'Ref': 'CodatSecret'}": "secret",
    "{'Fn::GetAtt': ['ReconcileQueue', 'Arn']}": "queue",
    "{'Fn::Sub': 'arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}'}": "bus",
    "{'Fn::GetAtt': ['UnpublishedChanges', 'Arn']}": "bucket",
    "{'Fn::Sub': '${UnpublishedChanges.Arn}/*'}": "objects",
}
_NEEDED_BY_LAMBDA = {
    # Lambda reads the stream and the queue for the function.
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
    # Lambda stores the changes that the function could not publish.
    "bucket": [Permission("s3:ListBucket", "bucket"), Permission("s3:PutObject", "objects")],
}


def granted(template: dict[str, Any]) -> dict[str, list[Permission]]:
    """Return the permissions of each function, by the name of its folder."""
    permissions: dict[str, list[Permission]] = {}
    roles = properties(template, "AWS::IAM::Role")
    for function in properties(template, "AWS::Lambda::Function").values():
        policies = roles[function["Role"]["Fn::GetAtt"][0]]["Policies"]
        statements = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
        permissions[_folder(function)] = [
            permission for statement in statements for permission in _permissions(statement)
        ]
    return permissions


def needed_by_lambda(template: dict[str, Any]) -> dict[str, set[Permission]]:
    """Return the permissions that Lambda uses under each function's role, for event sources and failed events."""
    functions = properties(template, "AWS::Lambda::Function")
    needed: dict[str, set[Permission]] = {}
    for source in properties(template, "AWS::Lambda::EventSourceMapping").values():
        resources = [source["EventSourceArn"]]
        if "DestinationConfig" in source:
            resources.append(source["DestinationConfig"]["OnFailure"]["Destination"])
        needs = needed.setdefault(_folder(functions[function_of(source)]), set())
        needs.update(need for resource in resources for need in _NEEDED_BY_LAMBDA[_RESOURCES[str(resource)]])
    return needed


def _folder(function: Mapping[str, Any]) -> str:
    _, name, _, _ = function["Handler"].split(".")
    return str(name)


def _permissions(statement: Mapping[str, Any]) -> Iterator[Permission]:
    keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", [])
    for action in as_list(statement["Action"]):
        for resource in as_list(statement["Resource"]):
            yield Permission(action, _RESOURCES[str(resource)], tuple(key.removesuffix("*") for key in keys))


def permits(permission: Permission, need: Permission) -> bool:
    """Return whether a statement covers all keys of the request: AWS doesn't document that several may share them."""
    return (permission.action, permission.resource) == (need.action, need.resource) and (
        set(need.keys) <= set(permission.keys)
    )


def missing(permitted: list[Permission], needs: AbstractSet[Permission]) -> set[Permission]:
    return {need for need in needs if not any(permits(permission, need) for permission in permitted)}


def unused(permitted: list[Permission], needs: AbstractSet[Permission]) -> set[Permission]:
    """Return the permissions that are not needed, a permission for each key."""
    used = {(need.action, need.resource, key) for need in needs for key in need.keys or ("",)}
    return {
        Permission(permission.action, permission.resource, (key,) if key else ())
        for permission in permitted
        for key in permission.keys or ("",)
        if (permission.action, permission.resource, key) not in used
    }
