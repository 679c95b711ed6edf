"""What an app shows to a person: the next action, and why a connection does not work."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.runtime import clock
from tests.conftest import App
from tests.integration.functions.calls import reconcile
from tests.payloads import webhook_about

ERROR = {"erroredOnUtc": "2026-11-02T09:55:29Z", "status": "Active"}


def heard(app: App, event: str, errors: list[dict[str, Any]] | None, **about: Any) -> dict[str, Any]:
    """A connection of a new customer, of which one event was heard."""
    customer = app.customer()
    connection_id = str(uuid4())
    body = webhook_about(event, company_id=customer["companyId"], connection_id=connection_id)
    body["payload"]["connection"] |= {"platformName": "Xero", "dataConnectionErrors": errors, **about}
    assert app.deliver(body).status_code == 204
    return app.read({"customerId": customer["customerId"], "connectionId": connection_id})


@pytest.mark.parametrize(
    ("told", "words"),
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
def test_an_error_is_in_words(app: App, told: dict[str, Any], words: str) -> None:
    """Codat's where a person can read them; never JSON, markup or a code."""
    failed = heard(app, "connection.failed", [ERROR | told])
    assert failed["nextAction"] == "authorize"
    assert words in failed["error"]
    assert not set(failed["error"]) & set("{}<>_")


def test_the_newest_error_that_still_holds_is_shown(app: App) -> None:
    """Whatever their order."""
    newest = ERROR | {"errorMessage": "The newest", "erroredOnUtc": "2026-11-02T09:55:29.5Z"}
    over = ERROR | {"errorMessage": "Over", "erroredOnUtc": "2026-11-03T00:00:00Z", "status": "Resolved"}
    failed = heard(app, "connection.failed", [over, newest, ERROR | {"errorMessage": "Older"}, ERROR])
    assert failed["error"] == "The newest"


def test_a_connection_that_was_revoked_without_words_has_some(app: App) -> None:
    """Codat may leave its errors out."""
    revoked = heard(app, "connection.disconnected", None, status="Deauthorized")
    assert (revoked["status"], revoked["nextAction"]) == ("Deauthorized", "reconnect")
    assert revoked["error"].startswith("Xero no longer allows access")


def test_one_that_nobody_uses_says_so(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN links that were not used THEN what is reported as abandoned tells a person what to do; on QuickBooks
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


def test_names_beyond_reason_are_kept_unread(app: App) -> None:
    """They would not fit into an event on the bus."""
    customer = app.customer()
    body = webhook_about("connection.created", company_id=customer["companyId"], connection_id=str(uuid4()))
    body["payload"]["connection"]["platformName"] = "x" * 201
    assert app.deliver(body).status_code == 204
    assert app.get(f"/customers/{customer['customerId']}").json()["connections"] == []
    assert len([item for item in app.items("UNREADABLE#") if "platformName" in item["cause"]]) == 1
