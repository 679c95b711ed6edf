"""Conversion between plain values and DynamoDB's attribute values.

boto3 has the same for more types, but importing it takes longer than the rest of a read.
"""

from collections.abc import Mapping
from typing import Any

Item = Mapping[str, Any]


def marshal(item: Item) -> dict[str, Any]:
    """Convert an item to DynamoDB's form. At every level, an attribute with the value None is left out."""
    return {name: _to_attribute(value) for name, value in item.items() if value is not None}


def unmarshal(item: Mapping[str, Any]) -> Item:
    """Convert an item from the form that DynamoDB and its streams use. Numbers are whole."""
    return {name: _from_attribute(value) for name, value in item.items()}


def _to_attribute(value: Any) -> dict[str, Any]:
    attribute: dict[str, Any]
    match value:
        case str():
            attribute = {"S": value}
        case bool():
            attribute = {"BOOL": value}
        case int():
            attribute = {"N": str(value)}
        case bytes():
            attribute = {"B": value}
        case Mapping():
            attribute = {"M": marshal(value)}
        case list() | tuple():
            attribute = {"L": [_to_attribute(each) for each in value]}
        case _:
            raise TypeError(f"{type(value).__name__} is no attribute value of this table")
    return attribute


def _from_attribute(value: Mapping[str, Any]) -> Any:
    [(kind, content)] = value.items()
    match kind:
        case "S" | "BOOL" | "B":
            return content
        case "N":
            return int(content)
        case "NULL":  # version 0.1.0 stored it inside a profile
            return None
        case "M":
            return unmarshal(content)
        case "L":
            return [_from_attribute(each) for each in content]
    raise TypeError(f"the attribute type {kind} is unknown to this table")
