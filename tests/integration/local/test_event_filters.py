"""Filters of event sources, by Lambda's rules."""

from typing import Any

import pytest
from local.event_patterns import PatternError, passes

RECORD = {"eventName": "MODIFY", "dynamodb": {"Keys": {"sk": {"S": "CONNECTION#1"}}}}


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ({}, True),
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["REMOVE"]}, False),
        ({"eventName": ["MODIFY"], "dynamodb": {"Keys": {"sk": {"S": ["CUSTOMER"]}}}}, False),
        ({"dynamodb": {"Keys": {"sk": {"S": ["CUSTOMER", {"prefix": "CONNECTION#"}]}}}}, True),
        ({"dynamodb": {"Keys": {"pk": {"S": [{"prefix": ""}]}}}}, False),
        ({"userIdentity": {"type": [{"exists": False}]}}, True),
        ({"eventName": [{"exists": True}]}, True),
        ({"eventName": [{"exists": False}]}, False),
        ({"eventName": [{"anything-but": "REMOVE"}]}, True),
        ({"eventName": [{"anything-but": ["REMOVE", "MODIFY"]}]}, False),
        # What is not there is not "anything".
        ({"userIdentity": {"type": [{"anything-but": "Service"}]}}, False),
    ],
)
def test_a_pattern(pattern: dict[str, Any], matches: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """Every field must hold, by any of its alternatives."""
    assert passes(RECORD, [pattern]) is matches


def test_one_of_several_patterns_is_enough() -> None:
    """No pattern at all lets everything through."""
    assert passes(RECORD, [{"eventName": ["REMOVE"]}, {"eventName": ["MODIFY"]}])
    assert passes(RECORD, [])


def test_what_is_not_understood_fails_by_its_name() -> None:
    """A comparison that Lambda knows and this doesn't must not let records through, or keep them out."""
    with pytest.raises(PatternError, match="numeric"):
        passes(RECORD, [{"eventName": [{"numeric": [">", 1]}]}])
