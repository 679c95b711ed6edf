"""The query language and its index."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from codat_simulator import query
from codat_simulator.errors import ApiError
from codat_simulator.models import Company
from codat_simulator.tag_index import TagIndex
from hypothesis import given, strategies as st


def company(number: int, **tags: str) -> Company:
    return Company(id=str(number), number=number, name="", description="", tags=tags, created=datetime.now(UTC))


COMPANIES = [
    company(1, uid="a", region="uk"),
    company(2, uid="b", region="us"),
    company(3, uid="c", region="uk", team="sales"),
    company(4, region="de"),
    company(5),
]


def select(text: str, among: Iterable[Company] = COMPANIES) -> list[int]:
    index = TagIndex()
    for each in COMPANIES:
        index.add(each)
    return [each.number for each in index.select(query.parse(text), among)]


@pytest.mark.parametrize(("text", "numbers"), [("uid=a||uid=c||uid=z", [1, 3]), ("region=uk&&uid!=a", [3])])
def test_equality_reads_no_other_company(text: str, numbers: list[int]) -> None:
    """Otherwise, each batch of a long listing would read all companies."""
    assert select(text, among=(pytest.fail("read") for _ in COMPANIES)) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("uid=a", [1]),
        ("uid = a", [1]),
        ("uid=z", []),
        ("uid!=a", [2, 3, 4, 5]),
        ("region~u", [1, 2, 3]),
        ("uid=c||uid=a", [1, 3]),
        ("region=uk && team=sales", [3]),
        ("region=uk&&uid!=a", [3]),
        ("uid=b||region=uk&&team=sales", [2, 3]),
        ("{uid=b||region=uk}&&team=sales", [3]),
        ("{{uid=a}}", [1]),
        ("uid=a||team~al", [1, 3]),
    ],
)
def test_matching_companies(text: str, numbers: list[int]) -> None:
    assert select(text) == numbers


@pytest.mark.parametrize(
    "text",
    ["uid", "=a", "uid=", "uid==a", "uid=a=b", "uid=a&&", "||uid=a", "{uid=a", "uid=a}", "{}", "a&&b", "{" * 10_000],
)
def test_malformed_query(text: str) -> None:
    with pytest.raises(ApiError) as error:
        query.parse(text)
    assert error.value.status == 400


TERMS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["uid", "region", "team"]),
    st.sampled_from(["=", "!=", "~"]),
    st.sampled_from(["a", "b", "uk", "u"]),
)
QUERIES = st.recursive(
    TERMS,
    lambda inner: st.builds("{{{}{}{}}}".format, inner, st.sampled_from(["&&", "||"]), inner),
    max_leaves=6,
)


@given(QUERIES)
def test_index_returns_the_result_of_a_full_scan(text: str) -> None:
    expression = query.parse(text)

    assert select(text) == [each.number for each in COMPANIES if expression.holds(each.tags.get)]


def test_removed_company_is_not_selected() -> None:
    index = TagIndex()
    index.add(COMPANIES[0])

    index.remove(COMPANIES[0])

    assert index.select(query.parse("uid=a"), []) == []
