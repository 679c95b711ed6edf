"""Query parameters and bodies that a route doesn't read are refused: they would have no effect."""

from typing import Any

import pytest

from local.template import Route, Template
from tests.conftest import App
from tests.infrastructure.contract.exchanges import operations
from tests.infrastructure.contract.plugin import HANDLED

WEBHOOK = "/webhooks/codat"
ROUTES = [route for route in Template.load().routes if route.iam]
WITH_BODY = {
    "POST /customers",
    "PATCH /customers/{customerId}",
    "POST /customers/{customerId}/connections",
    "POST /customers/{customerId}/invitations",
}


def path_of(route: Route, linked: dict[str, Any]) -> str:
    return route.path.format(**linked, invitationId="any")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_an_unknown_query_parameter_is_refused(app: App, route: Route) -> None:
    """THEN 400 with its name, and the route has done nothing."""
    linked = app.linked(app.customer()["customerId"])
    before = app.items()
    body = {"name": "Bank of Mary"} if route.key in WITH_BODY else None
    response = app.http.request(route.method, path_of(route, linked), params={"nope": "1"}, json=body)
    assert (response.status_code, response.json()["type"]) == (400, "invalid-query")
    [error] = response.json()["errors"]
    assert error["field"] == "nope"
    assert error["detail"].startswith("is not a parameter here; ")
    assert app.items() == before


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.key not in WITH_BODY], ids=lambda route: route.key
)
def test_a_body_is_refused_if_the_route_has_none(app: App, route: Route) -> None:
    """THEN 422 that says so, and the route has done nothing."""
    linked = app.linked(app.customer()["customerId"])
    before = app.items()
    response = app.http.request(route.method, path_of(route, linked), json={})
    assert (response.status_code, response.json()["type"]) == (422, "validation-error")
    assert response.json()["errors"] == [{"field": "body", "detail": "must be empty: this route has no body"}]
    assert app.items() == before


@pytest.mark.usefixtures("app")
def test_what_a_route_reads_is_documented() -> None:
    """THEN docs/openapi.json has the same query parameters and bodies as the functions."""
    for route in ROUTES:
        operation, handled = operations()[route.key], HANDLED[route.key]
        documented = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
        assert sorted(handled.query or ()) == sorted(documented), route.key
        assert handled.has_body == ("requestBody" in operation), route.key
        assert handled.has_body == (route.key in WITH_BODY)


def test_a_webhook_with_a_query_is_read(app: App) -> None:
    """The URL of the webhook consumer may contain a query: its events must not be lost."""
    response = app.http.post(WEBHOOK, params={"from": "codat"}, content=b"{}")
    assert (response.status_code, response.json()["type"]) == (401, "not-authentic")


def test_a_long_parameter_is_shortened(app: App) -> None:
    response = app.http.get("/platforms", params={"x" * 5000: "1"})
    assert response.status_code == 400
    assert len(response.content) < 1000


def test_a_quoted_pattern_is_valid_in_javascript(app: App) -> None:
    """The message for a wrong id contains no escape that only Python or Rust knows."""
    response = app.post("/customers", {"customerId": "a b", "name": "Bank of Dave"})
    [error] = response.json()["errors"]
    assert "^[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}$" in error["detail"]
