"""How many requests each route sends in a warm function: each takes some milliseconds of a caller's time."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.client import BaseClient

from tests.conftest import App
from tests.handlers import handler
from tests.integration.faults.context import Context
from tests.payloads import api_event, signed, webhook_about

Count = Callable[[str, dict[str, Any]], tuple[int, int, int]]


@pytest.fixture
def count(app: App, monkeypatch: pytest.MonkeyPatch) -> Count:
    """Return a function that invokes a handler, and returns the status and the requests to DynamoDB and Codat."""
    operations: list[str] = []
    make_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]
    own_thread = threading.get_ident()

    def recording(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        # Codat's webhooks run in other threads meanwhile.
        if threading.get_ident() == own_thread:
            operations.append(operation)
        return make_api_call(client, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", recording)

    def invoke(name: str, event: dict[str, Any]) -> tuple[int, int, int]:
        app.codat.wait_idle()
        operations.clear()
        app.codat.calls.clear()
        status = handler(name)(event, Context())["statusCode"]
        return status, len(operations), app.codat.calls.count()

    return invoke


@pytest.fixture
def connection(app: App) -> dict[str, Any]:
    """A linked connection. After it the function is warm: it has the secret and trusts the API key."""
    return app.linked(app.customer("acme")["customerId"])


def webhook_event(app: App, connection: dict[str, Any], *, generated: str) -> dict[str, Any]:
    body = webhook_about(
        "connection.disconnected.deauthorized",
        company_id=connection["companyId"],
        connection_id=connection["connectionId"],
        generatedDate=generated,
    )
    event = api_event("codat_webhook", body=body)
    event["isBase64Encoded"] = False
    return event | {"headers": signed(event["body"].encode(), app.stack.settings.webhook_secrets[0])}


def test_a_fresh_webhook(app: App, connection: dict[str, Any], count: Count) -> None:
    event = webhook_event(app, connection, generated=datetime.now(UTC).isoformat())
    assert count("codat_webhook", event) == (204, 2, 0)


def test_a_stale_webhook(app: App, connection: dict[str, Any], count: Count) -> None:
    event = webhook_event(app, connection, generated="2026-01-01T00:00:00Z")
    assert count("codat_webhook", event) == (204, 2, 0)


@pytest.mark.usefixtures("connection")
def test_creating_a_company(count: Count) -> None:
    event = api_event("create_company", body={"customerId": "beta", "name": "Beta Ltd"})
    assert count("create_company", event) == (201, 2, 1)


def test_creating_a_connection(app: App, connection: dict[str, Any], count: Count) -> None:
    assert connection
    app.customer("beta")
    status, to_dynamodb, to_codat = count(
        "create_connection", api_event("create_connection", body={"platformKey": "qhyg"}, customerId="beta")
    )
    assert (status, to_codat) == (201, 2)
    assert to_dynamodb <= 4


def test_unlinking(connection: dict[str, Any], count: Count) -> None:
    event = api_event("unlink_connection", customerId="acme", connectionId=connection["connectionId"])
    status, to_dynamodb, to_codat = count("unlink_connection", event)
    assert (status, to_codat) == (200, 1)
    assert to_dynamodb <= 3


@pytest.mark.parametrize("name", ["get_customer", "get_connection"])
def test_reading(connection: dict[str, Any], count: Count, name: str) -> None:
    event = api_event(name, customerId="acme", connectionId=connection["connectionId"])
    status, to_dynamodb, to_codat = count("read_customers", event)
    assert (status, to_codat) == (200, 0)
    assert to_dynamodb <= 2


@pytest.fixture
def invitation_token(app: App, connection: dict[str, Any]) -> str:
    """An invitation of a customer with a pending connection."""
    assert connection
    app.connection(app.customer("beta")["customerId"])
    url: str = app.post("/customers/beta/invitations", {"platformKey": "qhyg"}).json()["url"]
    return url.rpartition("/")[2]


def test_inviting(count: Count, invitation_token: str) -> None:
    assert invitation_token
    assert count("create_connection", api_event("create_invitation", customerId="beta")) == (201, 3, 0)
    assert count("read_customers", api_event("list_invitations", customerId="beta")) == (200, 2, 0)


def test_opening_an_invitation(count: Count, invitation_token: str) -> None:
    assert count("open_invitation", api_event("show_invitation", token=invitation_token)) == (200, 3, 0)
    assert count("open_invitation", api_event("show_invitation", token="unknown")) == (404, 1, 0)


def test_following_an_invitation(count: Count, invitation_token: str) -> None:
    status, to_dynamodb, to_codat = count("open_invitation", api_event("follow_invitation", token=invitation_token))
    assert (status, to_codat) == (303, 2)
    assert to_dynamodb <= 11


@pytest.mark.usefixtures("connection")
def test_listing_platforms(count: Count) -> None:
    assert count("create_connection", api_event("list_platforms")) == (200, 0, 0)
