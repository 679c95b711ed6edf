"""The reading routes."""

from uuid import uuid4

import pytest

from tests.conftest import App

ON_OFFER = ["pdvj", "akxx", "qhyg", "pqsw", "knfz", "fbrh", "gbol", "rwuv"]


def test_platforms_on_offer(app: App) -> None:
    """Those of the configuration, in its order, without Codat's sandbox."""
    platforms = app.get("/platforms").json()["platforms"]
    assert [platform["platformKey"] for platform in platforms] == ON_OFFER
    assert [platform["platformName"] for platform in platforms if platform["needsConnector"]] == ["QuickBooks Desktop"]


def test_a_customer_with_its_connections(app: App) -> None:
    """A connection has every field of the API, and never a link."""
    connection = app.linked(app.customer()["customerId"])
    [shown] = app.get(f"/customers/{connection['customerId']}").json()["connections"]
    assert shown == app.read(connection)
    assert set(shown) == {
        *("connectionId", "customerId", "companyId", "platformKey", "platformName", "sourceType", "status"),
        *("nextAction", "error", "linkedAt", "lastSync", "initialReadAt", "initialReadIssues"),
        *("createdAt", "updatedAt", "asOf"),
    }


@pytest.mark.parametrize("path", ["", "/connections", "/connections/x"])
@pytest.mark.parametrize("customer_id", ["nobody", "a b", "ä", "x" * 500])
def test_a_customer_that_does_not_exist(app: App, customer_id: str, path: str) -> None:
    """404 on every route."""
    answer = app.get(f"/customers/{customer_id}{path}")
    assert (answer.status_code, answer.json()["type"]) == (404, "customer-not-found")
    assert answer.json()["requestId"]


def test_another_customers_connection_is_not_found(app: App) -> None:
    """A connection is found under its own customer alone."""
    connection = app.connection(app.customer()["customerId"])
    other = app.customer()["customerId"]
    assert app.get(f"/customers/{other}/connections/{connection['connectionId']}").status_code == 404
    assert app.get(f"/customers/{other}/connections/{uuid4()}").status_code == 404
