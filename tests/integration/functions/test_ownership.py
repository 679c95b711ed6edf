"""Ownership of a company: the pointer in the table decides, not the tag at Codat."""

import json
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.state import CompanyChange

from tests.change_events import events_about
from tests.conftest import App
from tests.integration.functions.calls import adopting_orphans, lose_webhooks, measured, reconcile
from tests.payloads import CONNECTION_WEBHOOKS, webhook, webhook_about


@pytest.mark.parametrize("name", [*CONNECTION_WEBHOOKS, "read.completed.initial", "company.deleted"])
def test_codats_own_example_events_are_foreign(app: App, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """GIVEN an example event from Codat's portal, signed and with a `uid` THEN 204, a metric, and nothing stored."""
    before = app.items()
    capsys.readouterr()
    assert app.deliver(webhook(name)).status_code == 204
    assert app.items() == before
    assert sum(measured(capsys.readouterr().out)["WebhookForeign",]) == 1


def test_an_example_event_about_our_customer_id_creates_nothing(app: App) -> None:
    """GIVEN an example event with the tag of a customer of ours THEN the customer gets no connection."""
    customer = app.customer()
    about: dict[str, Any] = {"company_id": str(uuid4()), "connection_id": str(uuid4())}
    event = webhook_about("connection.disconnected", **about, tags={"uid": customer["customerId"]})
    assert app.deliver(event).status_code == 204
    assert app.get(f"/customers/{customer['customerId']}").json()["connections"] == []
    assert app.items(f"COMPANY#{about['company_id']}") == []
    assert [event["detail-type"] for event in events_about(app, customer["customerId"])] == ["customer.created"]
    reconcile(app)
    assert app.items(f"COMPANY#{about['company_id']}") == []


def test_the_deletion_of_a_company_with_our_tag_deletes_no_customer(app: App) -> None:
    """GIVEN a `company.deleted` about another company with our customer's tag THEN the customer stays."""
    customer = app.customer()
    event = webhook("company.deleted")
    event["payload"] |= {"id": str(uuid4()), "tags": {"uid": customer["customerId"]}}
    assert app.deliver(event).status_code == 204
    assert app.get(f"/customers/{customer['customerId']}").json() == customer


def test_an_orphan_is_adopted_with_its_connections(app: App) -> None:
    """GIVEN webhooks before the adoption, which were not stored THEN adoption reads the connections."""
    customer_id = f"o-{uuid4()}"
    company = app.codat.state.create_company(CompanyChange(name="Orphan", tags={"uid": customer_id}))
    connection = app.codat.state.create_connection(company.id, "gbol")
    app.codat.state.link(company.id, connection.id)
    app.codat.wait_idle()
    assert app.items(f"COMPANY#{company.id}") == []
    with adopting_orphans():
        assert reconcile(app)["straysAdopted"] == 1
    [adopted] = app.get(f"/customers/{customer_id}").json()["connections"]
    assert (adopted["connectionId"], adopted["status"]) == (connection.id, "Linked")


def test_a_lost_pointer_is_restored_by_reconcile(app: App) -> None:
    """GIVEN a customer whose pointer was lost THEN its webhooks are ignored only until the next reconcile."""
    linked = app.linked(app.customer()["customerId"])
    table, key = app.stack.table_name, {"pk": {"S": f"COMPANY#{linked['companyId']}"}, "sk": {"S": "COMPANY"}}
    app.stack.dynamodb.delete_item(TableName=table, Key=key)
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    app.codat.wait_idle()
    assert app.read(linked)["status"] == "Linked"
    reconcile(app)
    assert app.read(linked)["status"] == "Deauthorized"
    app.codat.state.link(linked["companyId"], linked["connectionId"])
    app.codat.wait_idle()
    assert app.read(linked)["status"] == "Linked"


def test_a_connection_that_the_list_shows_too_late_is_read_first(app: App) -> None:
    """GIVEN lists that lag THEN reconcile stores the current state, and no outdated status."""
    linked = app.linked(app.customer()["customerId"])
    deleted = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.list_lag = 60.0
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    app.codat.state.link(linked["companyId"], linked["connectionId"])
    app.codat.state.delete_connection(deleted["companyId"], deleted["connectionId"])
    reconcile(app)
    assert app.read(linked)["status"] == "Linked"
    app.codat.state.list_lag = 0.0
    reconcile(app)
    assert app.read(deleted)["status"] == "Deleted"
    assert reconcile(app)["drift"] == 0


def test_events_about_another_apps_company_are_not_stored(app: App) -> None:
    """GIVEN any tag, in upper or lower case THEN nothing is written for a company without a pointer."""
    before = app.items()
    for uid in ("c-1", "C-1", "", "x" * 100, json.dumps({"uid": "c-1"})):
        about: dict[str, Any] = {"company_id": str(uuid4()), "connection_id": str(uuid4()), "tags": {"uid": uid}}
        assert app.deliver(webhook_about("connection.connected", **about)).status_code == 204
    assert app.items() == before
