"""Read template.yaml: routes, functions with their variables, the table.

The stack on one machine runs what would be deployed. Only the part of CloudFormation that the functions' variables use
is supported; anything else raises TemplateError with its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PATH = Path(__file__).resolve().parent.parent / "template.yaml"

ACCOUNT_ID = "123456789012"
DEFAULT_REGION = "eu-west-1"

_REQUIRED_PARAMETERS = {"CodatTagKey": "uid"}
"""Values on one machine of the parameters that have no default."""


class TemplateError(Exception):
    """The template contains something that isn't supported on one machine."""


@dataclass(frozen=True, slots=True)
class Function:
    """`handler` is the dotted path of the callable; `timeout` is in seconds."""

    name: str
    handler: str
    timeout: int
    memory: int
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    function: str
    iam: bool

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"


class Template:
    """A template with `parameters`, or their defaults. Resources are named `STACK-LogicalId`."""

    def __init__(
        self,
        body: Mapping[str, Any],
        *,
        parameters: Mapping[str, str] | None = None,
        stack_name: str = "codat-customers",
    ) -> None:
        self._resources: Mapping[str, Any] = body["Resources"]
        self._globals: Mapping[str, Any] = body.get("Globals", {}).get("Function", {})
        self._conditions: Mapping[str, Any] = body.get("Conditions", {})
        self._stack_name = stack_name
        self._parameters = _parameter_values(body.get("Parameters", {}), parameters or {})

    @classmethod
    def load(cls, path: Path = DEFAULT_PATH, **options: Any) -> Template:
        return cls(yaml.load(path.read_text("utf-8"), _Loader), **options)  # noqa: S506 - a SafeLoader

    def properties(self, logical_id: str) -> Mapping[str, Any]:
        """Return the unresolved properties of a resource."""
        properties: Mapping[str, Any] = self._resources[logical_id].get("Properties", {})
        return properties

    def of_type(self, resource_type: str) -> dict[str, Mapping[str, Any]]:
        """Return the unresolved properties of a type's resources, by logical id, if their condition holds."""
        return {
            logical_id: self.properties(logical_id)
            for logical_id, resource in self._resources.items()
            if resource["Type"] == resource_type
            and ("Condition" not in resource or self._holds(self._conditions[resource["Condition"]]))
        }

    @property
    def functions(self) -> dict[str, Function]:
        functions = {}
        for name, own in self.of_type("AWS::Serverless::Function").items():
            # Lambda's defaults, Globals, the function's own.
            properties = {"Timeout": 3, "MemorySize": 128, **self._globals, **own}
            variables = [part.get("Environment", {}).get("Variables", {}) for part in (self._globals, own)]
            functions[name] = Function(
                name=name,
                handler=own["Handler"],
                timeout=int(self.resolve(properties["Timeout"])),
                memory=int(self.resolve(properties["MemorySize"])),
                environment={key: _text(self.resolve(value)) for key, value in (variables[0] | variables[1]).items()},
            )
        return functions

    @property
    def routes(self) -> list[Route]:
        """Return the HTTP API's routes, the most specific first."""
        routes = []
        for name, properties in self.of_type("AWS::Serverless::Function").items():
            for event in properties.get("Events", {}).values():
                if event["Type"] != "HttpApi":
                    continue
                route = event["Properties"]
                default = self.properties(route["ApiId"]["Ref"])["Auth"]["DefaultAuthorizer"]
                authorizer = route.get("Auth", {}).get("Authorizer", default)
                routes.append(Route(route["Method"].upper(), route["Path"], name, iam=authorizer == "AWS_IAM"))
        # API Gateway prefers a literal segment to a parameter, and a parameter to a greedy parameter.
        return sorted(routes, key=lambda route: [_generality(segment) for segment in route.path.split("/")])

    def environment(self) -> dict[str, str]:
        """Return the variables of all functions, which share a process. Raises TemplateError if two differ."""
        merged: dict[str, tuple[str, str]] = {}
        for function in self.functions.values():
            for key, value in function.environment.items():
                other, other_value = merged.setdefault(key, (function.name, value))
                if other_value != value:
                    raise TemplateError(
                        f"{key} differs between {other} and {function.name}, which share a process on one machine"
                    )
        return {key: value for key, (_, value) in merged.items()}

    def table(self) -> dict[str, Any]:
        """Return the arguments of `create_table`."""
        properties = self.properties("Table")
        names = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")
        return {
            "TableName": self.physical_id("Table"),
            **{name: properties[name] for name in names if name in properties},
            "StreamSpecification": {"StreamEnabled": True, **properties["StreamSpecification"]},
        }

    def physical_id(self, logical_id: str) -> str:
        """Return the value of `!Ref`: a queue's URL, or the resource's name."""
        if self._resources[logical_id]["Type"] == "AWS::SQS::Queue":
            return f"https://sqs.{DEFAULT_REGION}.amazonaws.com/{ACCOUNT_ID}/{self.name(logical_id)}"
        return self.name(logical_id)

    def name(self, logical_id: str) -> str:
        return f"{self._stack_name}-{logical_id}"

    def resolve(self, value: Any) -> Any:
        """Return a value, with its intrinsic function evaluated if it has one."""
        match value:
            case {"Ref": name}:
                return self._ref(name)
            case {"Fn::Join": [separator, values]}:
                return separator.join(self.resolve(values))
            case {"Fn::If": [condition, then, otherwise]}:
                return self.resolve(then if self._holds(self._conditions[condition]) else otherwise)
            case list():
                return [self.resolve(item) for item in value]
            case dict():
                raise TemplateError(f"{', '.join(value).replace('Fn::', '!')} is not supported on one machine")
        return value

    def _ref(self, name: str) -> Any:
        if name == "AWS::StackName":
            return self._stack_name
        if name in self._parameters:
            return self._parameters[name]
        if name in self._resources:
            return self.physical_id(name)
        raise TemplateError(f"{name} is neither a parameter nor a resource of the template")

    def _holds(self, condition: Any) -> bool:
        match condition:
            case {"Fn::Equals": [left, right]}:
                return _text(self.resolve(left)) == _text(self.resolve(right))
            case {"Fn::Not": [negated]}:
                return not self._holds(negated)
        raise TemplateError(f"the condition {condition} is not supported on one machine")


def _parameter_values(declared: Mapping[str, Any], overrides: Mapping[str, str]) -> dict[str, Any]:
    if unknown := set(overrides) - set(declared):
        raise TemplateError(f"the template has no parameter {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        # A parameter without a default or value is empty.
        default = declaration.get("Default", _REQUIRED_PARAMETERS.get(name, ""))
        value = _text(overrides.get(name, default))
        values[name] = value.split(",") if declaration["Type"] == "CommaDelimitedList" else value
    return values


def _text(value: Any) -> str:
    """Convert a value to a string as CloudFormation does: booleans in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _generality(segment: str) -> int:
    return 2 if segment.endswith("+}") else 1 if segment.startswith("{") else 0


def _construct(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    """Read `!Tag value` as `{"Fn::Tag": value}`."""
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


# libyaml's loader takes a seventh of the time. PyYAML has it in wheels, and not in each build of its source.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    pass


_Loader.add_multi_constructor("!", _construct)
