"""Queries on the transformed template."""

import json
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.e2e.artifact.make import ROOT, make

ALIAS = "Aliaslive"
"""What SAM appends to a function's logical id for that of its alias `live`."""


@cache
def transformed(*contents: str) -> dict[str, Any]:
    """Return the template as CloudFormation gets it."""
    make(".sam/.synced")
    template: dict[str, Any] = json.loads(
        subprocess.run(
            [".sam/bin/python", "-m", "tests.infrastructure.template.transform", *contents],
            cwd=ROOT,
            env={"PATH": os.defpath, "AWS_DEFAULT_REGION": "us-east-1"},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )
    return template


def properties(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def operations(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the operations of all APIs by route."""
    return {
        f"{method.upper()} {path}": operation
        for api in properties(template, "AWS::ApiGatewayV2::Api").values()
        for path, methods in api["Body"]["paths"].items()
        for method, operation in methods.items()
    }


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in properties(template, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def actions_of(template: dict[str, Any], function: str) -> set[str]:
    role = f"{function}Role"
    of_role = [statement for name, statement in statements(template) if name == role]
    assert of_role, f"{function} has no permissions"
    return {action for statement in of_role for action in as_list(statement["Action"])}


def function_roles(template: dict[str, Any]) -> set[str]:
    functions = properties(template, "AWS::Lambda::Function").values()
    return {function["Role"]["Fn::GetAtt"][0] for function in functions}


def event_source(template: dict[str, Any], function: str) -> dict[str, Any]:
    sources = properties(template, "AWS::Lambda::EventSourceMapping").values()
    [source] = [source for source in sources if function_of(source) == function]
    return source


def function_of(source: dict[str, Any]) -> str:
    """Return the function behind the alias that an event source invokes."""
    alias: str = source["FunctionName"]["Ref"]
    assert alias.endswith(ALIAS), alias
    return alias.removesuffix(ALIAS)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
