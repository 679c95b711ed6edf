"""The comparison itself: that it finds what it is there to find."""

from typing import Any

import pytest

from tests.infrastructure.permissions.granted import granted, missing, needed_by_lambda, unused
from tests.infrastructure.permissions.needed import Permission, needed
from tests.infrastructure.template.deployed import transformed

CUSTOMER, COMPANY = {"pk": {"S": "CUSTOMER#acme"}}, {"pk": {"S": "COMPANY#1"}}


@pytest.mark.parametrize(
    ("operation", "params", "permissions"),
    [
        ("GetItem", {"Key": CUSTOMER}, [("dynamodb:GetItem", "table", ("CUSTOMER#",))]),
        ("PutItem", {"Item": COMPANY}, [("dynamodb:PutItem", "table", ("COMPANY#",))]),
        ("PutItem", {"Item": {"pk": {"S": "APIKEYS"}}}, [("dynamodb:PutItem", "table", ("APIKEYS",))]),
        (
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"Item": CUSTOMER}}, {"Put": {"Item": COMPANY}}, {"Delete": {"Key": COMPANY}}]},
            [
                ("dynamodb:DeleteItem", "table", ("COMPANY#", "CUSTOMER#")),
                ("dynamodb:PutItem", "table", ("COMPANY#", "CUSTOMER#")),
            ],
        ),
        (
            "Query",
            {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": COMPANY["pk"]}},
            [("dynamodb:Query", "table", ("COMPANY#",))],
        ),
        ("Query", {"IndexName": "byStatus"}, [("dynamodb:Query", "index/byStatus", ())]),
        ("Scan", {}, [("Scan", "unknown", ())]),
    ],
)
def test_calls_take_permissions(operation: str, params: dict[str, Any], permissions: list[Permission]) -> None:
    assert list(needed(operation, params)) == permissions


def test_what_is_not_permitted_is_found() -> None:
    """GIVEN a statement for each of two keys THEN a request that names both is permitted by neither."""
    one, other = Permission("a:Put", "table", ("X#",)), Permission("a:Put", "table", ("Y#",))
    both = Permission("a:Put", "table", ("X#", "Y#"))
    assert missing([one, other], {both}) == {both}
    assert missing([both], {one, other, both}) == set()
    assert missing([], {one}) == {one}


def test_what_nobody_needs_is_found() -> None:
    """GIVEN one statement for two keys WHEN only one is used THEN the other is too much."""
    both = Permission("a:Put", "table", ("X#", "Y#"))
    assert unused([both], {Permission("a:Put", "table", ("X#",))}) == {Permission("a:Put", "table", ("Y#",))}
    assert unused([Permission("a:Get", "secret")], set()) == {Permission("a:Get", "secret")}


def test_the_template_is_read() -> None:
    template = transformed()
    permitted, by_lambda = granted(template), needed_by_lambda(template)
    assert len(permitted) == 11
    assert all(permitted.values())
    assert Permission("dynamodb:Query", "index/byStatus") in permitted["read_customers"]
    assert set(by_lambda) == {"publish_changes", "reconcile"}
    assert Permission("sqs:ReceiveMessage", "queue") in by_lambda["reconcile"]
