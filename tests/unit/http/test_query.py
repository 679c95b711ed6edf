"""Query parameters: what is accepted, and what an error says."""

import pytest

from shared.domain.connections import Status
from shared.domain.errors import InvalidQuery
from shared.http.query import DEFAULT_LIMIT, allow_only, limit, status


def test_a_list_has_50_entries_by_default() -> None:
    assert limit({}) == DEFAULT_LIMIT == 50


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("007", 7), ("100", 100)])
def test_a_limit_from_1_to_100(text: str, expected: int) -> None:
    assert limit({"limit": text}) == expected


@pytest.mark.parametrize("text", ["", "0", "101", "0100", "-1", "+1", "1.0", " 1", "ten", "٣", "²"])
def test_any_other_limit_is_rejected(text: str) -> None:
    with pytest.raises(InvalidQuery, match=r"^limit: must be a whole number from 1 to 100$") as raised:
        limit({"limit": text})
    assert raised.value.field == "limit"


def test_a_status() -> None:
    assert status({"status": "Linked"}) is Status.LINKED


@pytest.mark.parametrize("query", [{}, {"status": ""}, {"status": "linked"}, {"status": "Deleted"}], ids=str)
def test_an_unknown_status_is_rejected_with_the_valid_values(query: dict[str, str]) -> None:
    with pytest.raises(InvalidQuery, match=r"^status: must be one of PendingAuth, Linked, Unlinked, Deauthorized, u"):
        status(query)


def test_attention_replaces_the_status() -> None:
    assert status({"attention": "true"}) is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"attention": "false"}, "attention: must be true; without it, the list is selected by status"),
        ({"attention": ""}, "attention: must be true; without it, the list is selected by status"),
        (
            {"attention": "true", "status": "Linked"},
            "attention: can't be combined with status; leave one of them out",
        ),
    ],
    ids=str,
)
def test_any_other_attention_is_rejected_with_the_required_change(query: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidQuery) as raised:
        status(query)
    assert (raised.value.field, str(raised.value)) == ("attention", message)


def test_an_unknown_parameter_is_rejected_with_those_that_exist() -> None:
    """A misspelt one would otherwise be ignored silently."""
    allow_only({"limit": "1"}, "limit", "cursor")
    with pytest.raises(InvalidQuery, match=r"^Limit: is not a parameter here; the parameters are limit, cursor$"):
        allow_only({"limit": "1", "Limit": "2"}, "limit", "cursor")
    with pytest.raises(InvalidQuery, match=r"^limit: is not a parameter here; this route has none$"):
        allow_only({"limit": "1"})
