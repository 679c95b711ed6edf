"""Which permissions a call to AWS takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_OTHERS = {
    "GetSecretValue": ("secretsmanager:GetSecretValue", "secret"),
    "PutEvents": ("events:PutEvents", "bus"),
    "SendMessageBatch": ("sqs:SendMessage", "queue"),
}
_OF_A_TRANSACTION = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}


class Permission(NamedTuple):
    """`keys`: the kinds of partition that one request names together, for example CUSTOMER# and COMPANY#."""

    action: str
    resource: str
    keys: tuple[str, ...] = ()


def needed(operation: str, params: Mapping[str, Any]) -> Iterator[Permission]:
    """A transaction takes the permissions of its parts, there being no action of its own name. Each part's may be
    judged by all of the transaction's keys: AWS doesn't say.
    """
    match operation:
        case "TransactWriteItems":
            parts = [part for item in params["TransactItems"] for part in item.items()]
            kinds = {_kind(part.get("Item") or part["Key"]) for _, part in parts}
            for action in sorted({_OF_A_TRANSACTION[kind] for kind, _ in parts}):
                yield _of_table(action, kinds)
        case "BatchGetItem":
            [asked] = params["RequestItems"].values()
            yield _of_table(operation, map(_kind, asked["Keys"]))
        case "BatchWriteItem":
            [writes] = params["RequestItems"].values()
            keys = [write["DeleteRequest"]["Key"] for write in writes]
            yield _of_table(operation, map(_kind, keys))
        case "Query" if index := params.get("IndexName"):
            yield Permission("dynamodb:Query", f"index/{index}")
        case "Query":
            [name] = re.findall(r"\bpk = (:\w+)", params["KeyConditionExpression"])
            yield _of_table(operation, [_kind({"pk": params["ExpressionAttributeValues"][name]})])
        case "DeleteItem" | "GetItem" | "PutItem" | "UpdateItem":
            yield _of_table(operation, [_kind(params.get("Item") or params["Key"])])
        case _:
            # What nothing needs yet is not permitted under this name either, and so found.
            yield Permission(*_OTHERS.get(operation, (operation, "unknown")))


def _of_table(operation: str, kinds: Iterable[str]) -> Permission:
    return Permission(f"dynamodb:{operation}", "table", tuple(sorted(set(kinds))))


def _kind(key: Mapping[str, Any]) -> str:
    kind, hash_sign, _ = key["pk"]["S"].partition("#")
    return f"{kind}{hash_sign}"
