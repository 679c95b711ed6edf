"""The documented policies of the two roles, and the actions that calls and documented commands need."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore import xform_name

from tests.e2e.docs.markdown import ROOT
from tests.infrastructure.permissions.needed import TRANSACTION_ACTIONS
from tests.infrastructure.template.deployed import as_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACTION = r"\b(?:[A-Z][a-z]+){2,}\b|\bScan\b|\bQuery\b"
"""An action's name in a text."""
_NAMES = {"Invoke": "InvokeFunction"}
_S3 = {"cp": "GetObject", "ls": "ListBucket", "rm": "DeleteObject"}
_WAITERS = {"cloudformation": "DescribeStacks", "dynamodb": "DescribeTable"}


def policy(role: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / f"docs/{role}-role.json").read_text())
    return content


def actions_in(document: Mapping[str, Any]) -> list[str]:
    return [action for statement in document["Statement"] for action in as_list(statement["Action"])]


def is_allowed(document: Mapping[str, Any], action: str) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in actions_in(document))


def actions_of(operation: str, params: Mapping[str, Any]) -> set[str]:
    """Return the names of the actions that a call needs. A transaction has none of its own."""
    if operation == "TransactWriteItems":
        return {TRANSACTION_ACTIONS[part] for item in params["TransactItems"] for part in item}
    return {_NAMES.get(operation, operation)}


def documented_actions(*pages: str) -> Iterator[str]:
    """Yield the action of each command of AWS CLI in these pages."""
    session = botocore.session.get_session()
    text = "\n".join((ROOT / "docs" / page).read_text() for page in pages)
    for service, command in re.findall(r"\baws ([a-z0-9-]+) ([a-z0-9-]+)", text):
        if service == "configure":
            continue
        if service == "s3":
            name = _S3[command]
        elif command == "wait":
            name = _WAITERS[service]
        else:
            [name] = [
                operation
                for operation in session.get_service_model(service).operation_names
                if xform_name(operation, "-") == command
            ]
        yield f"{service}:{_NAMES.get(name, name)}"
