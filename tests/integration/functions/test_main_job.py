"""The main job, end to end, over HTTP and signed webhooks."""

from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import App

ORIGINAL_GUIDE = {
    "pdvj": "MYOB Business",
    "akxx": "Oracle NetSuite",
    "qhyg": "QuickBooks Online",
    "pqsw": "QuickBooks Desktop",
    "knfz": "Sage Intacct",
}


@pytest.mark.parametrize("platform_key", ORIGINAL_GUIDE)
def test_a_customer_is_created_connected_authorised_and_unlinked(app: App, platform_key: str) -> None:
    """GIVEN each platform of the original guide THEN the API shows Codat's status after every step."""
    customer = app.customer()
    path = f"/customers/{customer['customerId']}"

    created = app.post(f"{path}/connections", {"platformKey": platform_key})
    assert created.status_code == 201
    connection = created.json()
    assert connection["status"] == "PendingAuth"
    assert connection["platformName"] == ORIGINAL_GUIDE[platform_key]
    assert connection["nextAction"] == ("install-connector" if platform_key == "pqsw" else "authorize")
    assert created.headers["location"] == f"{path}/connections/{connection['connectionId']}"
    assert urlsplit(connection["linkUrl"]).query

    authorised = httpx.post(connection["linkUrl"], data={"action": "authorize"})
    assert authorised.is_success
    app.codat.wait_idle()
    linked = app.read(connection)
    assert (linked["status"], linked["nextAction"]) == ("Linked", "none")

    unlinked = app.post(f"{path}/connections/{connection['connectionId']}/unlink")
    assert (unlinked.status_code, unlinked.json()["status"]) == (200, "Unlinked")
    app.codat.wait_idle()
    assert app.read(connection)["status"] == "Unlinked"
    assert app.get(path).json()["connections"] == [app.read(connection)]
    assert len(app.codat.state.companies()) == 1


def test_the_link_url_is_not_stored(app: App) -> None:
    """A link URL is a single-use credential: the API returns it, and does not store it."""
    connection = app.linked(app.customer()["customerId"])
    app.post(f"/customers/{connection['customerId']}/connections", {"platformKey": "qhyg"})
    assert "otp" not in str(app.items())
