"""The filters of an event source: which records Lambda hands to the function, by the patterns of EventBridge.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
Only the comparisons that the template uses are understood; any other fails by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ABSENT = object()


class PatternError(ValueError):
    """A comparison that is not understood on one machine."""


def passes(event: Mapping[str, Any], patterns: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of the patterns matches, or there is none."""
    return not patterns or any(_matches(event, pattern) for pattern in patterns)


def _matches(event: Any, pattern: Mapping[str, Any]) -> bool:
    """Every field of the pattern holds; a field is a pattern of its own, or a list of which one must hold."""
    for name, expected in pattern.items():
        value = event.get(name, _ABSENT) if isinstance(event, dict) else _ABSENT
        if isinstance(expected, list):
            if not any(_holds(value, comparison) for comparison in expected):
                return False
        elif not _matches(value, expected):
            return False
    return True


def _holds(value: Any, comparison: Any) -> bool:
    if not isinstance(comparison, dict):
        return bool(value == comparison)
    [(name, argument)] = comparison.items()
    match name:
        case "prefix":
            return isinstance(value, str) and value.startswith(argument)
        case "exists":
            return bool(argument) == (value is not _ABSENT)
        case "anything-but":
            return value is not _ABSENT and value not in (argument if isinstance(argument, list) else [argument])
    raise PatternError(f"the comparison {name} is not understood on one machine")
