"""Request bodies: what is accepted, and which field an error names."""

from typing import Any, TypeVar

import pytest
from pydantic import BaseModel, ValidationError

from shared.domain.customers import Profile
from shared.http.requests import ChangedCustomer, NewConnection, NewCustomer

Model = TypeVar("Model", bound=BaseModel)

TAG_KEY = "uid"
COMPANY_ID = "0498e921-9b53-4396-a412-4f2f5983b0a2"
MINIMAL = {"customerId": "c-1", "name": "Bank of Dave"}
FULL = {**MINIMAL, "description": "Text", "tags": {"region": "us"}, "companyId": COMPANY_ID}


def parse(model: type[Model], body: dict[str, Any]) -> Model:
    return model.model_validate(body, context={"tag_key": TAG_KEY})


def invalid_field(model: type[BaseModel], body: dict[str, Any]) -> str:
    """Return the path of the single field that is invalid."""
    with pytest.raises(ValidationError) as raised:
        parse(model, body)
    [line] = raised.value.errors()
    return ".".join(map(str, line["loc"]))


def test_a_customer_needs_an_id_and_a_name() -> None:
    customer = parse(NewCustomer, MINIMAL)
    assert (customer.customer_id, customer.company_id) == ("c-1", None)
    assert customer.profile == Profile("Bank of Dave", None, {})


def test_a_customer_with_every_field() -> None:
    customer = parse(NewCustomer, FULL)
    assert customer.company_id == COMPANY_ID
    assert customer.profile == Profile("Bank of Dave", "Text", {"region": "us"})


def test_an_empty_description_is_no_description() -> None:
    assert parse(NewCustomer, {**MINIMAL, "description": ""}).profile.description is None
    assert parse(ChangedCustomer, {"description": ""}).changes == {"description": None}


@pytest.mark.parametrize(
    "valid",
    [
        {"customerId": "A"},
        {"customerId": "a" * 100},
        {"customerId": "user@example.com:1_2.3-4"},
        {"name": "n" * 200},
        {"name": "株式会社　日本"},
        {"name": "a\u200db"},
        {"description": "d" * 2000},
        {"description": "two\nlines"},
        {"tags": {f"tag{number}": "" for number in range(8)}},
        {"tags": {"k" * 27: "v" * 100}},
        {"companyId": "a" * 64},
    ],
    ids=str,
)
def test_values_at_their_limits_are_accepted(valid: dict[str, Any]) -> None:
    parse(NewCustomer, {**MINIMAL, **valid})


@pytest.mark.parametrize(
    ("invalid", "field"),
    [
        ({"customerId": ""}, "customerId"),
        ({"customerId": "-starts-with-a-dash"}, "customerId"),
        ({"customerId": "a" * 101}, "customerId"),
        ({"customerId": "a=b"}, "customerId"),
        ({"customerId": "a b"}, "customerId"),
        ({"customerId": "a\n"}, "customerId"),
        ({"customerId": "é"}, "customerId"),
        ({"customerId": 7}, "customerId"),
        ({"name": ""}, "name"),
        ({"name": "n" * 201}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"name": None}, "name"),
        ({"description": "d" * 2001}, "description"),
        ({"description": 7}, "description"),
        ({"tags": {f"tag{number}": "" for number in range(9)}}, "tags"),
        ({"tags": {"": "v"}}, "tags..[key]"),
        ({"tags": {"k" * 28: "v"}}, f"tags.{'k' * 28}.[key]"),
        ({"tags": {"k": "v" * 101}}, "tags.k"),
        ({"tags": {"k": "a\tb"}}, "tags.k"),
        ({"tags": {"k": 1}}, "tags.k"),
        ({"tags": {TAG_KEY: "v"}}, "tags"),
        ({"tags": {"creationId": "v"}}, "tags"),
        ({"tags": ["k"]}, "tags"),
        ({"companyId": ""}, "companyId"),
        ({"companyId": "a" * 65}, "companyId"),
        ({"companyId": "a/b"}, "companyId"),
        ({"companyID": COMPANY_ID}, "companyID"),
        ({"customer_id": "c-1"}, "customer_id"),
    ],
    ids=str,
)
def test_an_error_names_the_invalid_field(invalid: dict[str, Any], field: str) -> None:
    """Also if it is misspelt: an unknown field would otherwise be ignored silently."""
    assert invalid_field(NewCustomer, {**MINIMAL, **invalid}) == field


@pytest.mark.parametrize("field", MINIMAL)
def test_a_required_field_is_missing(field: str) -> None:
    assert invalid_field(NewCustomer, {name: value for name, value in MINIMAL.items() if name != field}) == field


def test_a_reserved_tag_key_is_explained() -> None:
    with pytest.raises(ValidationError, match="'uid' is set by this service; choose another key"):
        parse(NewCustomer, {**MINIMAL, "tags": {TAG_KEY: "c-2"}})


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ({}, {}),
        ({"name": "Bank of Mary"}, {"name": "Bank of Mary"}),
        ({"description": None}, {"description": None}),
        ({"description": "Text", "tags": {}}, {"description": "Text", "tags": {}}),
    ],
    ids=str,
)
def test_a_change_contains_the_fields_that_were_sent(body: dict[str, Any], changes: dict[str, Any]) -> None:
    assert parse(ChangedCustomer, body).changes == changes


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"description": "d" * 2001}, "description"),
        ({"tags": {TAG_KEY: "v"}}, "tags"),
        ({"tags": None}, "tags"),
        ({"customerId": "c-2"}, "customerId"),
        ({"companyId": COMPANY_ID}, "companyId"),
    ],
    ids=str,
)
def test_a_change_has_the_same_limits_and_no_ids(body: dict[str, Any], field: str) -> None:
    assert invalid_field(ChangedCustomer, body) == field


def test_a_connection_needs_a_platform() -> None:
    assert parse(NewConnection, {"platformKey": "qhyg"}).platform_key == "qhyg"
    for invalid in ({}, {"platformKey": None}, {"platformKey": 7}, {"platformKey": "k" * 101}):
        assert invalid_field(NewConnection, invalid) == "platformKey"
    assert invalid_field(NewConnection, {"platformKey": "qhyg", "sourceType": "Accounting"}) == "sourceType"


def test_a_body_shows_no_personal_data() -> None:
    assert repr(parse(NewCustomer, FULL)) == "NewCustomer()"
    assert str(parse(ChangedCustomer, {"name": "Bank of Mary"})) == ""
