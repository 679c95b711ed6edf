"""POST …/connections/{connectionId}/unlink."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from codat_simulator.faults import Fault

from shared.domain.initial_reads import MAX_KEPT
from tests.conftest import App
from tests.integration.faults.proxy import Proxy, before_the_answer, passed_on, responds
from tests.payloads import webhook_about


def unlink(app: App, connection: dict[str, Any]) -> Any:
    return app.post(f"/customers/{connection['customerId']}/connections/{connection['connectionId']}/unlink")


def test_unlink_is_idempotent(app: App) -> None:
    """GIVEN two calls THEN both are 200 with Unlinked, although Codat rejects the second."""
    linked = app.linked(app.customer()["customerId"])
    first, second = unlink(app, linked), unlink(app, linked)
    assert (first.status_code, second.status_code) == (200, 200)
    assert (first.json()["status"], second.json()["status"]) == ("Unlinked", "Unlinked")


def test_a_connection_that_is_deleted_while_it_is_unlinked(app: App, codat_wire: Proxy) -> None:
    """GIVEN a deletion whose webhook arrives before Codat's answer THEN 409, and the connection stays deleted."""
    linked = app.linked(app.customer()["customerId"])

    def delete() -> None:
        app.codat.state.delete_connection(linked["companyId"], linked["connectionId"])
        app.codat.wait_idle()

    codat_wire.always(before_the_answer("PATCH", delete))
    response = unlink(app, linked)
    assert (response.status_code, response.json()["type"]) == (409, "connection-deleted")
    assert app.read(linked)["status"] == "Deleted"


def test_a_pending_connection_cannot_be_unlinked(app: App) -> None:
    """THEN 409."""
    response = unlink(app, app.connection(app.customer()["customerId"]))
    assert (response.status_code, response.json()["type"]) == (409, "connection-not-linked")


def test_a_revoked_connection_cannot_be_unlinked(app: App) -> None:
    """GIVEN a revocation whose webhook was lost THEN 409, and Deauthorized is stored."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    response = unlink(app, linked)
    assert (response.status_code, response.json()["type"]) == (409, "connection-not-linked")
    assert app.read(linked)["status"] == "Deauthorized"


def test_unlink_succeeds_if_the_stored_state_is_outdated(app: App) -> None:
    """GIVEN a connection that is stored as PendingAuth, but Linked at Codat THEN it is unlinked."""
    pending = app.connection(app.customer()["customerId"])
    fault = app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.link(pending["companyId"], pending["connectionId"])
    app.codat.wait_idle()
    app.codat.faults.remove(fault)
    assert app.read(pending)["status"] == "PendingAuth"
    response = unlink(app, pending)
    assert (response.status_code, response.json()["status"]) == (200, "Unlinked")


def test_a_rejection_by_codat_is_passed_on_if_the_connection_is_linked(app: App, codat_wire: Proxy) -> None:
    """THEN 502, and the stored state stays."""
    linked = app.linked(app.customer()["customerId"])
    rejection = responds(400, {"statusCode": 400, "service": "ClientsApi", "error": "No.", "correlationId": "c-1"})
    codat_wire.always(lambda exchange: (rejection if exchange.method == "PATCH" else passed_on)(exchange))
    response = unlink(app, linked)
    assert (response.status_code, response.json()["type"]) == (502, "codat-rejected")
    assert app.read(linked)["status"] == "Linked"


def test_a_connection_deleted_at_codat_cannot_be_unlinked(app: App) -> None:
    """GIVEN a deletion whose webhook was lost THEN both calls are 409, and Deleted is stored."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_connection(linked["companyId"], linked["connectionId"])
    for _ in range(2):
        response = unlink(app, linked)
        assert (response.status_code, response.json()["type"]) == (409, "connection-deleted")
    assert app.read(linked)["status"] == "Deleted"


def test_a_newer_event_during_the_call_wins(app: App, codat_wire: Proxy) -> None:
    """GIVEN a reconnection just after the unlink, whose event is stored first THEN the connection stays Linked, and the
    unlink is in the timeline as not applied.
    """
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    event = webhook_about(
        "connection.reconnected",
        company_id=linked["companyId"],
        connection_id=linked["connectionId"],
        generatedDate=(datetime.now(UTC) + timedelta(minutes=2)).isoformat(),
    )

    def overtake() -> None:
        assert app.deliver(event).status_code == 204

    codat_wire.always(before_the_answer("PATCH", overtake))
    assert (unlink(app, linked).status_code, app.read(linked)["status"]) == (200, "Linked")
    path = f"/customers/{linked['customerId']}/connections/{linked['connectionId']}/events"
    newest, own, *_ = app.get(path).json()["events"]
    assert (newest["eventType"], newest["applied"]) == ("connection.reconnected", True)
    assert (own["eventType"], own["applied"]) == ("unlinked", False)


def test_an_unlink_older_than_many_events_is_in_the_timeline(app: App, codat_wire: Proxy) -> None:
    """GIVEN so many newer events during the call that its own time is not stored THEN it is still in the timeline."""
    linked = app.linked(app.customer()["customerId"])
    path = f"/customers/{linked['customerId']}/connections/{linked['connectionId']}"
    assert app.post(f"{path}/link").status_code == 200  # so that Codat's last sync is stored
    app.codat.faults.add(Fault(kind="webhook-drop"))
    now = datetime.now(UTC)

    def overtake() -> None:
        for number in range(MAX_KEPT):
            event = webhook_about(
                "connection.disconnected",
                company_id=linked["companyId"],
                connection_id=linked["connectionId"],
                generatedDate=(now + timedelta(minutes=2, seconds=number)).isoformat(),
            )
            assert app.deliver(event).status_code == 204

    codat_wire.always(before_the_answer("PATCH", overtake))
    assert unlink(app, linked).status_code == 200
    own = app.get(f"{path}/events").json()["events"][MAX_KEPT]
    assert (own["eventType"], own["applied"], own["actor"]) == ("unlinked", False, "caller")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["status", "drop"])
def test_unlink_survives_a_failure_of_codat(app: App, kind: Any, when: Any) -> None:
    """GIVEN a 500 or a dropped request, before or after the work THEN the same call is 200 with Unlinked."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind=kind, status=500, when=when, method="PATCH", times=1))
    response = unlink(app, linked)
    assert (response.status_code, response.json()["status"]) == (200, "Unlinked")


@pytest.mark.parametrize(
    "path",
    [
        "/customers/nonexistent/connections/x/unlink",
        "/customers/{customer}/connections/nonexistent/unlink",
        "/customers/{customer}/connections/" + "x" * 2000 + "/unlink",
    ],
)
def test_a_missing_customer_or_connection_is_404(app: App, path: str) -> None:
    """THEN 404, also for an overlong id."""
    response = app.post(path.format(customer=app.customer()["customerId"]))
    assert response.status_code == 404
