"""`nextAction` and `error` of a connection, which an app can show to its user."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.runtime import clock
from tests.conftest import App
from tests.integration.functions.calls import reconcile
from tests.payloads import webhook_about

ERROR = {"erroredOnUtc": "2026-11-02T09:55:29Z", "status": "Active"}


def connection_after(app: App, event: str, errors: list[dict[str, Any]] | None, **about: Any) -> dict[str, Any]:
    """Create a customer, deliver an event about a connection of it, and return the connection."""
    customer = app.customer()
    connection_id = str(uuid4())
    body = webhook_about(event, company_id=customer["companyId"], connection_id=connection_id)
    body["payload"]["connection"] |= {"platformName": "Xero", "dataConnectionErrors": errors, **about}
    assert app.deliver(body).status_code == 204
    return app.read({"customerId": customer["customerId"], "connectionId": connection_id})


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"errorMessage": "User cancelled", "statusText": "x y", "statusCode": "403"}, "User cancelled"),
        ({"errorMessage": None, "statusText": "User cancelled linking", "statusCode": "403"}, "User cancelled linking"),
        ({"errorMessage": '{"error": "invalid_grant"}', "statusText": "Access expired."}, "Access expired."),
        ({"errorMessage": "<html><body>Bad gateway", "statusText": "502", "statusCode": "502"}, "could not be reached"),
        ({"errorMessage": "invalid_grant", "statusText": "", "statusCode": "401"}, "Xero refused access."),
        ({"statusText": "Unauthorized", "statusCode": "401"}, "Unauthorized"),
        ({"statusCode": "403"}, "Xero refused access."),
        ({"statusCode": "429"}, "Xero had too many requests."),
        ({"statusCode": "418"}, "The connection to Xero failed."),
    ],
)
def test_an_error_is_readable_text(app: App, error: dict[str, Any], text: str) -> None:
    """THEN Codat's text is shown if a person can read it, but no JSON, markup or code."""
    failed = connection_after(app, "connection.failed", [ERROR | error])
    assert failed["nextAction"] == "authorize"
    assert text in failed["error"]
    assert not set(failed["error"]) & set("{}<>_")


def test_the_newest_active_error_is_shown(app: App) -> None:
    """In any order, and without resolved errors."""
    newest = ERROR | {"errorMessage": "The newest", "erroredOnUtc": "2026-11-02T09:55:29.5Z"}
    resolved = ERROR | {"errorMessage": "Resolved", "erroredOnUtc": "2026-11-03T00:00:00Z", "status": "Resolved"}
    failed = connection_after(app, "connection.failed", [resolved, newest, ERROR | {"errorMessage": "Older"}, ERROR])
    assert failed["error"] == "The newest"


def test_a_revocation_without_errors_has_a_default_text(app: App) -> None:
    """Codat may omit the errors of a connection."""
    revoked = connection_after(app, "connection.disconnected", None, status="Deauthorized")
    assert (revoked["status"], revoked["nextAction"]) == ("Deauthorized", "reconnect")
    assert revoked["error"].startswith("Xero no longer allows access")


def test_an_abandoned_link_explains_what_to_do(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN links that were not used THEN the errors of the abandoned connections say what to do; for QuickBooks
    Desktop, to install the connector first.
    """
    customers = [app.customer()["customerId"] for _ in range(2)]
    online, desktop = app.connection(customers[0]), app.connection(customers[1], "pqsw")
    assert (online["error"], online["nextAction"]) == (None, "authorize")
    assert (desktop["error"], desktop["nextAction"]) == (None, "install-connector")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(days=8))
    assert reconcile(app)["abandoned"] == 2
    monkeypatch.undo()
    unused = "The link to {} was not used in time. Ask for a new one."
    assert app.read(online)["error"] == unused.format("QuickBooks Online")
    assert app.read(desktop)["error"].startswith(unused.format("QuickBooks Desktop"))
    assert "needs its connector: install it" in app.read(desktop)["error"]
    app.codat.state.link(online["companyId"], online["connectionId"])
    app.codat.wait_idle()
    assert (app.read(online)["error"], app.read(online)["nextAction"]) == (None, "none")


def test_a_webhook_with_an_overlong_name_is_quarantined(app: App) -> None:
    """The name would not fit into an event on the bus."""
    customer = app.customer()
    body = webhook_about("connection.created", company_id=customer["companyId"], connection_id=str(uuid4()))
    body["payload"]["connection"]["platformName"] = "x" * 201
    assert app.deliver(body).status_code == 204
    assert app.get(f"/customers/{customer['customerId']}").json()["connections"] == []
    assert len([item for item in app.items() if "platformName" in item.get("cause", "")]) == 1
