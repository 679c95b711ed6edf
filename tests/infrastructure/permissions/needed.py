"""The permissions that a call to AWS needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_OTHER_OPERATIONS = {
    "GetSecretValue": ("secretsmanager:GetSecretValue", "secret"),
    "PutEvents": ("events:PutEvents", "bus"),
    "SendMessageBatch": ("sqs:SendMessage", "queue"),
}
TRANSACTION_ACTIONS = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}


class Permission(NamedTuple):
    """`keys`: the prefixes of the partition keys in a request, for example CUSTOMER# and COMPANY#."""

    action: str
    resource: str
    keys: tuple[str, ...] = ()


def needed(operation: str, params: Mapping[str, Any]) -> Iterator[Permission]:
    """Yield the permissions for an operation with these parameters.

    A transaction needs the permissions of its parts, because no action exists for it. AWS doesn't document whether each
    part is checked against all keys of the transaction, so each needs all of them.
    """
    match operation:
        case "TransactWriteItems":
            parts = [part for item in params["TransactItems"] for part in item.items()]
            prefixes = {_prefix(part.get("Item") or part["Key"]) for _, part in parts}
            for action in sorted({TRANSACTION_ACTIONS[part_type] for part_type, _ in parts}):
                yield _on_table(action, prefixes)
        case "BatchGetItem":
            [reads] = params["RequestItems"].values()
            yield _on_table(operation, map(_prefix, reads["Keys"]))
        case "Query" if index := params.get("IndexName"):
            yield Permission("dynamodb:Query", f"index/{index}")
        case "Query":
            [name] = re.findall(r"\bpk = (:\w+)", params["KeyConditionExpression"])
            yield _on_table(operation, [_prefix({"pk": params["ExpressionAttributeValues"][name]})])
        case "DeleteItem" | "GetItem" | "PutItem" | "UpdateItem":
            yield _on_table(operation, [_prefix(params.get("Item") or params["Key"])])
        case _:
            # No statement grants an unknown operation, so it is reported as missing.
            yield Permission(*_OTHER_OPERATIONS.get(operation, (operation, "unknown")))


def _on_table(operation: str, prefixes: Iterable[str]) -> Permission:
    return Permission(f"dynamodb:{operation}", "table", tuple(sorted(set(prefixes))))


def _prefix(key: Mapping[str, Any]) -> str:
    name, hash_sign, _ = key["pk"]["S"].partition("#")
    return f"{name}{hash_sign}"
