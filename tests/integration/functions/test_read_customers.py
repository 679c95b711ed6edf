"""GET /platforms and GET /customers/{customerId}."""

from uuid import uuid4

import pytest

from tests.conftest import App

OFFERED = ["pdvj", "akxx", "qhyg", "pqsw", "knfz", "fbrh", "gbol", "rwuv"]


def test_offered_platforms_are_listed(app: App) -> None:
    """THEN the platforms of the configuration, in its order, without Codat's sandbox."""
    platforms = app.get("/platforms").json()["platforms"]
    assert [platform["platformKey"] for platform in platforms] == OFFERED
    assert [platform["platformName"] for platform in platforms if platform["needsConnector"]] == ["QuickBooks Desktop"]


def test_a_customer_with_its_connections(app: App) -> None:
    """THEN a connection has every field of the API, but no link."""
    connection = app.linked(app.customer()["customerId"])
    [shown] = app.get(f"/customers/{connection['customerId']}").json()["connections"]
    assert shown == app.read(connection)
    assert set(shown) == {
        *("connectionId", "customerId", "companyId", "platformKey", "platformName", "sourceType", "status"),
        *("nextAction", "error", "linkedAt", "lastSync", "initialReadAt", "initialReadIssues"),
        *("createdAt", "updatedAt", "asOf"),
    }


@pytest.mark.parametrize("path", ["", "/connections", "/connections/x"])
@pytest.mark.parametrize("customer_id", ["nonexistent", "a b", "ä", "x" * 500])
def test_a_customer_that_does_not_exist(app: App, customer_id: str, path: str) -> None:
    """THEN 404 on every route."""
    response = app.get(f"/customers/{customer_id}{path}")
    assert (response.status_code, response.json()["type"]) == (404, "customer-not-found")
    assert response.json()["requestId"]


def test_another_customers_connection_is_404(app: App) -> None:
    """A connection can be read only by its own customer's path."""
    connection = app.connection(app.customer()["customerId"])
    other = app.customer()["customerId"]
    assert app.get(f"/customers/{other}/connections/{connection['connectionId']}").status_code == 404
    assert app.get(f"/customers/{other}/connections/{uuid4()}").status_code == 404
