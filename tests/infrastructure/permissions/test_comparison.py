"""The comparison of needed and granted permissions."""

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
def test_calls_need_permissions(operation: str, params: dict[str, Any], permissions: list[Permission]) -> None:
    assert list(needed(operation, params)) == permissions


def test_missing_permissions_are_reported() -> None:
    """GIVEN a statement for each of two keys THEN neither permits a request with both."""
    x_only, y_only = Permission("a:Put", "table", ("X#",)), Permission("a:Put", "table", ("Y#",))
    both = Permission("a:Put", "table", ("X#", "Y#"))
    assert missing([x_only, y_only], {both}) == {both}
    assert missing([both], {x_only, y_only, both}) == set()
    assert missing([], {x_only}) == {x_only}


def test_unused_permissions_are_reported() -> None:
    """GIVEN a statement for two keys WHEN a single key is used THEN the other is unused."""
    both = Permission("a:Put", "table", ("X#", "Y#"))
    assert unused([both], {Permission("a:Put", "table", ("X#",))}) == {Permission("a:Put", "table", ("Y#",))}
    assert unused([Permission("a:Get", "secret")], set()) == {Permission("a:Get", "secret")}


def test_permissions_are_read_from_the_template() -> None:
    template = transformed()
    permitted, by_lambda = granted(template), needed_by_lambda(template)
    assert len(permitted) == 12
    assert all(permitted.values())
    assert Permission("dynamodb:Query", "index/byStatus") in permitted["read_customers"]
    assert set(by_lambda) == {"publish_changes", "reconcile"}
    assert Permission("sqs:ReceiveMessage", "queue") in by_lambda["reconcile"]
