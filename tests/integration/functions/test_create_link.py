"""POST …/link and …/access-token."""

import httpx
import pytest
from codat_simulator.faults import Fault

from tests.conftest import App
from tests.integration.faults.proxy import Proxy, before_the_answer, changed


def test_the_customer_can_select_a_platform_on_the_hosted_page(app: App) -> None:
    """THEN each call returns another URL, and selecting a platform creates a connection."""
    customer = app.customer()
    first, second = (app.post(f"/customers/{customer['customerId']}/link") for _ in range(2))
    assert first.status_code == 200
    assert set(first.json()) == {"linkUrl", "issuedAt"}
    assert first.json()["linkUrl"] != second.json()["linkUrl"]
    assert httpx.post(second.json()["linkUrl"], data={"platformKey": "gbol"}).status_code < 400
    app.codat.wait_idle()
    [connection] = app.get(f"/customers/{customer['customerId']}").json()["connections"]
    assert (connection["platformKey"], connection["status"]) == ("gbol", "PendingAuth")


def test_a_link_authorises_or_reconnects(app: App) -> None:
    """THEN a link is issued for a pending, a linked and a revoked connection, and links it."""
    connection = app.connection(app.customer()["customerId"])
    path = f"/customers/{connection['customerId']}/connections/{connection['connectionId']}"
    pending = app.post(f"{path}/link").json()
    assert httpx.post(pending["linkUrl"], data={"action": "authorize"}).is_success
    app.codat.wait_idle()
    assert app.post(f"{path}/link").status_code == 200
    app.codat.state.revoke(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    assert app.read(connection)["nextAction"] == "reconnect"
    again = app.post(f"{path}/link").json()
    assert httpx.post(again["linkUrl"], data={"action": "authorize"}).is_success
    app.codat.wait_idle()
    assert app.read(connection)["status"] == "Linked"


def test_a_token_for_the_embedded_component_is_not_stored(app: App) -> None:
    """THEN Codat's token is returned, and not written to the table."""
    customer = app.customer()
    response = app.post(f"/customers/{customer['customerId']}/access-token")
    assert response.status_code == 200
    assert set(response.json()) == {"accessToken", "expiresIn", "tokenType"}
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["accessToken"] not in str(app.items())


@pytest.mark.parametrize("credential", ["link", "access-token"])
def test_a_customer_that_does_not_exist_has_no_link(app: App, credential: str) -> None:
    """THEN 404, also if Codat has deleted the company and the webhook was lost."""
    assert app.post(f"/customers/nonexistent/{credential}").status_code == 404
    assert app.post(f"/customers/a%20b/{credential}").status_code == 404
    customer = app.customer()
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_company(customer["companyId"])
    response = app.post(f"/customers/{customer['customerId']}/{credential}")
    assert (response.status_code, response.json()["type"]) == (404, "customer-not-found")


def test_a_connection_deleted_during_the_call_has_no_link(app: App, codat_wire: Proxy) -> None:
    """GIVEN a deletion after Codat has read the connection THEN 409, and it stays Deleted."""
    connection = app.connection(app.customer()["customerId"])
    path = f"/customers/{connection['customerId']}/connections/{connection['connectionId']}"

    def delete() -> None:
        codat_wire.heal()
        assert app.http.delete(path).status_code == 204

    codat_wire.always(before_the_answer("GET", delete))
    response = app.post(f"{path}/link")
    assert (response.status_code, response.json()["type"]) == (409, "connection-deleted")
    assert app.read(connection)["status"] == "Deleted"


def test_a_company_without_a_hosted_page_is_reported(app: App, codat_wire: Proxy) -> None:
    """GIVEN a company of Codat's without the optional `redirect` THEN 502."""
    customer = app.customer()
    codat_wire.always(changed(f"/companies/{customer['companyId']}", lambda document: document.pop("redirect")))
    response = app.post(f"/customers/{customer['customerId']}/link")
    assert (response.status_code, response.json()["type"]) == (502, "codat-unavailable")


@pytest.mark.usefixtures("clock")  # the waits between attempts take no time
def test_codats_failure_is_passed_on(app: App) -> None:
    """THEN 502 with Codat's correlation id, on every route."""
    connection = app.connection(app.customer()["customerId"])
    customer = f"/customers/{connection['customerId']}"
    app.codat.faults.add(Fault(kind="status", status=500))
    for path in (
        f"{customer}/link",
        f"{customer}/access-token",
        f"{customer}/connections/{connection['connectionId']}/link",
    ):
        response = app.post(path)
        assert (response.status_code, response.json()["type"]) == (502, "codat-unavailable")
        assert response.json()["correlationId"]
