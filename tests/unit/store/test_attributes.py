"""Values of the table, and those that it does not have."""

from typing import Any

import pytest

from shared.store.attributes import marshal, unmarshal

ITEM: dict[str, Any] = {
    "text": "a",
    "whole": 7,
    "flag": True,
    "bytes": b"\x00",
    "list": ["a", 1],
    "map": {"nested": {"n": 1}},
}


def test_what_is_stored_is_read() -> None:
    """Without a value there is no attribute, at any level. Version 0.1.0 stored NULL inside a map."""
    assert unmarshal(marshal({**ITEM, "none": None, "map": {"nested": {"n": 1, "none": None}}})) == ITEM
    assert unmarshal({"map": {"M": {"description": {"NULL": True}}}}) == {"map": {"description": None}}


@pytest.mark.parametrize("value", [1.5, {"a"}, object()])
def test_a_value_of_another_type_is_a_bug(value: Any) -> None:
    with pytest.raises(TypeError):
        marshal({"value": value})


def test_an_attribute_of_another_type_is_a_bug() -> None:
    with pytest.raises(TypeError):
        unmarshal({"set": {"SS": ["a"]}})
