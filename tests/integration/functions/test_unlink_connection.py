"""POST …/connections/{connectionId}/unlink."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from codat_simulator.faults import Fault

from shared.domain.initial_reads import MAX_KEPT
from tests.conftest import App
from tests.integration.faults.proxy import Proxy, before_the_answer
from tests.payloads import webhook_about


def unlink(app: App, connection: dict[str, Any]) -> Any:
    return app.post(f"/customers/{connection['customerId']}/connections/{connection['connectionId']}/unlink")


def test_unlinking_twice_is_unlinking_once(app: App) -> None:
    """200 and Unlinked both times: Codat refuses the second, and its own state is the answer."""
    linked = app.linked(app.customer()["customerId"])
    first, second = unlink(app, linked), unlink(app, linked)
    assert (first.status_code, second.status_code) == (200, 200)
    assert (first.json()["status"], second.json()["status"]) == ("Unlinked", "Unlinked")


def test_what_was_never_linked_cannot_be_unlinked(app: App) -> None:
    """409 from PendingAuth."""
    answer = unlink(app, app.connection(app.customer()["customerId"]))
    assert (answer.status_code, answer.json()["type"]) == (409, "connection-not-linked")


def test_what_was_revoked_cannot_be_unlinked(app: App) -> None:
    """409 from Deauthorized, and the state says so even where the webhook was lost."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    answer = unlink(app, linked)
    assert (answer.status_code, answer.json()["type"]) == (409, "connection-not-linked")
    assert app.read(linked)["status"] == "Deauthorized"


def test_codat_is_asked_even_where_the_stored_state_is_behind(app: App) -> None:
    """The webhook of the link was lost: stored is PendingAuth, at Codat it is Linked, and unlinking works."""
    pending = app.connection(app.customer()["customerId"])
    fault = app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.link(pending["companyId"], pending["connectionId"])
    app.codat.wait_idle()
    app.codat.faults.remove(fault)
    assert app.read(pending)["status"] == "PendingAuth"
    answer = unlink(app, pending)
    assert (answer.status_code, answer.json()["status"]) == (200, "Unlinked")


def test_what_codat_deleted_is_deleted(app: App) -> None:
    """409 and the register is healed, also where the webhook was lost; then 409 without asking."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.delete_connection(linked["companyId"], linked["connectionId"])
    for _ in range(2):
        answer = unlink(app, linked)
        assert (answer.status_code, answer.json()["type"]) == (409, "connection-deleted")
    assert app.read(linked)["status"] == "Deleted"


def test_a_newer_event_during_the_call_wins(app: App, codat_wire: Proxy) -> None:
    """GIVEN a customer who reconnects just after the unlink, and whose event is stored first THEN it stays Linked, and
    the unlink is in the timeline as late.
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
    newest, ours, *_ = app.get(path).json()["events"]
    assert (newest["eventType"], newest["applied"]) == ("connection.reconnected", True)
    assert (ours["eventType"], ours["applied"]) == ("unlinked", False)


def test_an_unlink_that_changes_nothing_any_more_is_in_the_timeline(app: App, codat_wire: Proxy) -> None:
    """GIVEN so many newer events during the call that its own time is no longer kept THEN it is in the timeline."""
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
    ours = app.get(f"{path}/events").json()["events"][MAX_KEPT]
    assert (ours["eventType"], ours["applied"], ours["actor"]) == ("unlinked", False, "caller")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["status", "drop"])
def test_unlinking_outlives_failures_of_codat(app: App, kind: Any, when: Any) -> None:
    """A 500 or a dropped connection, before or after the work, ends Unlinked within the same call."""
    linked = app.linked(app.customer()["customerId"])
    app.codat.faults.add(Fault(kind=kind, status=500, when=when, method="PATCH", times=1))
    answer = unlink(app, linked)
    assert (answer.status_code, answer.json()["status"]) == (200, "Unlinked")


@pytest.mark.parametrize(
    "path",
    [
        "/customers/nobody/connections/x/unlink",
        "/customers/{customer}/connections/nothing/unlink",
        "/customers/{customer}/connections/" + "x" * 2000 + "/unlink",
    ],
)
def test_what_does_not_exist_is_not_found(app: App, path: str) -> None:
    """404 for customers and connections alike."""
    answer = app.post(path.format(customer=app.customer()["customerId"]))
    assert answer.status_code == 404
