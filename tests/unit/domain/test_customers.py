"""Customer ids, names and tags."""

import pytest

from shared.domain.customers import (
    CREATION_TAG,
    Ownership,
    Profile,
    adopter_digest,
    company_name,
    customer_id_from_tag,
    is_customer_id,
    is_printable,
    merge_tags,
    normalize_company_id,
    split_tags,
)
from shared.domain.errors import TooManyTags


@pytest.mark.parametrize("text", ["c", "C-1", "user@example.com", "a:b_c.d", "0" * 100])
def test_a_customer_id(text: str) -> None:
    assert is_customer_id(text)
    assert customer_id_from_tag(text) == text


@pytest.mark.parametrize("text", ["", "-c", "a b", "a=b", "a|b", "a&b", "{a}", "a\n", "é", "0" * 101])
def test_no_customer_id(text: str) -> None:
    """It becomes part of a query to Codat."""
    assert not is_customer_id(text)
    assert customer_id_from_tag(text) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Bank of Dave", "Bank of Dave"),
        ("O'Neil & Sons, Inc. (UK) #1!", "O'Neil & Sons, Inc. UK 1!"),
        ("  Café  ", "Caf"),
        ("株式会社", "c-1x"),
        ("()", "c-1x"),
    ],
)
def test_a_company_name_has_only_characters_that_codat_keeps(name: str, expected: str) -> None:
    """If none is left, the name is the customer id, with the same characters removed."""
    assert company_name(Profile(name), "c-1_x") == expected


@pytest.mark.parametrize("text", ["", "Bank of Dave", "株式会社　日本", "न\u200dहीं", "👩\u200d💻", "a\u00a0b"])
def test_printable_text(text: str) -> None:
    assert is_printable(text)


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "\x00", "\u200b", "\u202e", "\u2028"])
def test_text_with_control_characters_is_not_printable(text: str) -> None:
    assert not is_printable(text)


def test_the_profiles_tags_win_over_existing_ones() -> None:
    assert merge_tags(Profile("n", tags={"a": "new"}), {"a": "old", "b": "kept"}) == {"a": "new", "b": "kept"}


def test_more_tags_than_codat_allows_are_rejected() -> None:
    existing = {f"existing{number}": "" for number in range(9)}
    assert merge_tags(Profile("n"), existing) == existing
    with pytest.raises(TooManyTags, match="keeps 9 existing tags"):
        merge_tags(Profile("n", tags={"a": ""}), existing)


def test_the_tags_of_our_own_company_belong_to_the_app() -> None:
    assert split_tags({"a": "1", CREATION_TAG: "id"}) == ({"a": "1"}, {CREATION_TAG: "id"})
    assert split_tags({"a": "1"}) == ({}, {"a": "1"})


def test_a_profile_lists_the_fields_that_differ() -> None:
    profile = Profile("n", None, {"a": "1"})
    assert profile.differing_fields(profile) == []
    assert profile.differing_fields(Profile("m", "d", {})) == ["name", "description", "tags"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0498E921-9B53-4396-A412-4F2F5983B0A2", "0498e921-9b53-4396-a412-4f2f5983b0a2"),
        ("0498e9219b534396a4124f2f5983b0a2", "0498e921-9b53-4396-a412-4f2f5983b0a2"),
        ("no-guid", "no-guid"),
    ],
)
def test_a_company_id_has_the_form_of_codats_webhooks(text: str, expected: str) -> None:
    assert normalize_company_id(text) == expected


def test_only_an_active_pointer_makes_an_owner() -> None:
    assert Ownership("c-1").owner == "c-1"
    assert Ownership().owner is None
    assert Ownership("c-1", is_reserved=True).owner is None
    assert Ownership("c-1", has_ended=True).owner is None


def test_an_undone_adoption_is_restored_only_for_the_customer_that_began_it() -> None:
    before = {"name": "By hand", "adopter": adopter_digest("company", "c-1")}
    ownership = Ownership(discarded=before)
    assert ownership.before_adoption_by("c-1", "company") == before
    assert ownership.before_adoption_by("c-2", "company") is None
    assert Ownership().before_adoption_by("c-1", "company") is None
