"""Read template.yaml: routes, functions, the table, queues.

The stack on one machine runs what would be deployed. Only the part of CloudFormation that the template uses is
supported; anything else raises TemplateError with its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


@dataclass(frozen=True, slots=True)
class Table:
    """`definition` contains the arguments of `create_table`."""

    name: str
    definition: Mapping[str, Any]
    ttl: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Queue:
    """`attributes` are those of `create_queue`; `dead_letters` is the dead-letter queue's logical id."""

    name: str
    attributes: Mapping[str, str]
    dead_letters: str | None
    max_receives: int


class Template:
    """A template with `parameters`, or their defaults. A resource without a name gets the name `STACK-LogicalId`."""

    def __init__(
        self,
        body: Mapping[str, Any],
        *,
        parameters: Mapping[str, str] | None = None,
        stack_name: str = "codat-customers",
    ) -> None:
        self._resources: Mapping[str, Any] = body.get("Resources", {})
        self._globals: Mapping[str, Any] = body.get("Globals", {})
        self._conditions: Mapping[str, Any] = body.get("Conditions", {})
        self._stack_name = stack_name
        self._parameters = _parameter_values(body.get("Parameters", {}), parameters or {})

    @classmethod
    def load(cls, path: Path = DEFAULT_PATH, **options: Any) -> Template:
        return cls(yaml.load(path.read_text("utf-8"), _Loader), **options)  # noqa: S506 - a SafeLoader

    def of_type(self, resource_type: str) -> dict[str, Mapping[str, Any]]:
        """Return the unresolved properties of a type's resources, by logical id, if their condition holds."""
        return {
            logical_id: resource.get("Properties", {})
            for logical_id, resource in self._resources.items()
            if resource["Type"] == resource_type
            and ("Condition" not in resource or self._condition(resource["Condition"]))
        }

    @property
    def functions(self) -> dict[str, Function]:
        defaults = self._globals.get("Function", {})
        functions = {}
        for name, own in self.of_type("AWS::Serverless::Function").items():
            # Lambda's defaults, Globals, the function's own.
            properties = {"Timeout": 3, "MemorySize": 128, **defaults, **own}
            variables = [part.get("Environment", {}).get("Variables", {}) for part in (defaults, own)]
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
                authorizer = route.get("Auth", {}).get("Authorizer", self._default_authorizer(route.get("ApiId")))
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

    def table(self, logical_id: str = "Table") -> Table:
        properties = self.of_type("AWS::DynamoDB::Table")[logical_id]
        name = self.physical_id(logical_id)
        definition: dict[str, Any] = {"TableName": name}
        for key in ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes"):
            if key in properties:
                definition[key] = self.resolve(properties[key])
        if "StreamSpecification" in properties:
            view = self.resolve(properties["StreamSpecification"])
            definition["StreamSpecification"] = {"StreamEnabled": True, **view}
        return Table(name, definition, self.resolve(properties.get("TimeToLiveSpecification")))

    def queue(self, logical_id: str) -> Queue:
        properties = self.of_type("AWS::SQS::Queue")[logical_id]
        redrive = properties.get("RedrivePolicy")
        return Queue(
            self.name(logical_id),
            {
                key: _text(self.resolve(properties[key]))
                for key in ("DelaySeconds", "MessageRetentionPeriod", "VisibilityTimeout")
                if key in properties
            },
            resource_of(redrive["deadLetterTargetArn"]) if redrive else None,
            int(redrive["maxReceiveCount"]) if redrive else 0,
        )

    def physical_id(self, logical_id: str) -> str:
        """Return the value of `!Ref`: a queue's URL, or the resource's name."""
        if self._resources[logical_id]["Type"] == "AWS::SQS::Queue":
            return f"https://sqs.{DEFAULT_REGION}.amazonaws.com/{ACCOUNT_ID}/{self.name(logical_id)}"
        return self.name(logical_id)

    def name(self, logical_id: str) -> str:
        """Return the resource's name in the template, or a generated one."""
        properties = self._resources[logical_id].get("Properties", {})
        for key in ("TableName", "FunctionName", "QueueName", "TopicName", "Name"):
            if key in properties:
                return _text(self.resolve(properties[key]))
        return f"{self._stack_name}-{logical_id}"

    def resolve(self, value: Any) -> Any:
        """Return the value with every intrinsic function evaluated."""
        if isinstance(value, list):
            resolved = [self.resolve(item) for item in value]
            return [item for item in resolved if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._intrinsic(name.removeprefix("Fn::"), argument)
        resolved_items = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved_items.items() if item is not _NO_VALUE}

    def branch_of(self, value: Any) -> Any:
        """Return the unresolved branch that applies if the value is an `!If`, else the value."""
        while isinstance(value, dict) and set(value) == {"Fn::If"}:
            [(condition, then, otherwise)] = value.values()
            value = then if self._condition(condition) else otherwise
        return value

    def _intrinsic(self, name: str, argument: Any) -> Any:
        intrinsics: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Sub": self._sub,
            "GetAtt": self._get_att,
            "Join": lambda argument: argument[0].join(map(_text, self.resolve(argument[1]))),
            "If": lambda argument: self.resolve(self.branch_of({"Fn::If": argument})),
        }
        if name not in intrinsics:
            raise TemplateError(f"the function !{name} is not supported on one machine")
        return intrinsics[name](argument)

    def _ref(self, name: str) -> Any:
        pseudo = {
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::Region": DEFAULT_REGION,
            "AWS::Partition": "aws",
            "AWS::StackName": self._stack_name,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": _NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self._parameters:
            return self._parameters[name]
        if name in self._resources:
            return self.physical_id(name)
        raise TemplateError(f"{name} is neither a parameter nor a resource of the template")

    def _sub(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def replacement(match: re.Match[str]) -> str:
            name = match.group(1)
            if name.startswith("!"):  # ${!Literal} stands for ${Literal}
                return "${" + name[1:] + "}"
            if name in variables:
                return _text(self.resolve(variables[name]))
            return _text(self._get_att(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", replacement, text)

    def _get_att(self, argument: Any) -> str:
        logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        if logical_id not in self._resources:
            raise TemplateError(f"{logical_id} is not a resource of the template")
        if attribute.endswith("Name"):
            return self.name(logical_id)
        if not attribute.endswith("Arn"):
            raise TemplateError(f"{logical_id}.{attribute} is not supported on one machine")
        service = self._resources[logical_id]["Type"].split("::")[1].lower()
        return f"arn:aws:{service}:{DEFAULT_REGION}:{ACCOUNT_ID}:{self._stack_name}-{logical_id}"

    def _condition(self, expression: Any) -> bool:
        if isinstance(expression, str):
            return self._condition(self._conditions[expression])
        [(name, argument)] = expression.items()
        match name:
            case "Condition":
                return self._condition(argument)
            case "Fn::Equals":
                return _text(self.resolve(argument[0])) == _text(self.resolve(argument[1]))
            case "Fn::Not":
                return not self._condition(argument[0])
            case "Fn::And":
                return all(map(self._condition, argument))
            case "Fn::Or":
                return any(map(self._condition, argument))
        raise TemplateError(f"the condition function {name} is not supported on one machine")

    def _default_authorizer(self, api: Any) -> str | None:
        auth = self._globals.get("HttpApi", {}).get("Auth", {})
        if isinstance(api, dict):
            auth = self._resources[api["Ref"]].get("Properties", {}).get("Auth", auth)
        default: str | None = auth.get("DefaultAuthorizer")
        return default


_NO_VALUE = object()


def resource_of(value: Any) -> str:
    """Return the logical id in `!Ref X`, `!GetAtt X.Attribute` or `!GetAtt [X, Attribute]`."""
    if isinstance(value, dict) and set(value) <= {"Ref", "Fn::GetAtt"}:
        [argument] = value.values()
        logical_id: str = argument.partition(".")[0] if isinstance(argument, str) else argument[0]
        return logical_id
    raise TemplateError(f"{value!r} is not a resource of the template")


def _parameter_values(declared: Mapping[str, Any], overrides: Mapping[str, str]) -> dict[str, Any]:
    if unknown := set(overrides) - set(declared):
        raise TemplateError(f"the template has no parameter {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        # A parameter without a default or value is empty.
        default = declaration.get("Default", _REQUIRED_PARAMETERS.get(name, ""))
        value = _text(overrides.get(name, default))
        is_list = declaration["Type"] == "CommaDelimitedList" or declaration["Type"].startswith("List<")
        values[name] = value.split(",") if is_list else value
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
