"""`GET /connections?attention=true`: the connections that need a person."""

from copy import deepcopy
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from shared.runtime import clock as runtime_clock
from shared.store.paging import ShardedQuery
from tests.conftest import App, Clock
from tests.integration.functions.calls import reconcile
from tests.integration.functions.test_lists import pages
from tests.payloads import webhook, webhook_about

if TYPE_CHECKING:
    from shared.store.attributes import Item


def listed(app: App, limit: int = 100) -> dict[str, str]:
    """Return the `nextAction` of each listed connection, by its id."""
    found = [
        connection for page in pages(app, "/connections?attention=true", "connections", limit) for connection in page
    ]
    actions = {connection["connectionId"]: connection["nextAction"] for connection in found}
    assert len(actions) == len(found)
    return actions


def revoke(app: App, linked: dict[str, Any]) -> None:
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    app.codat.wait_idle()


def path_of(connection: dict[str, Any]) -> str:
    return f"/customers/{connection['customerId']}/connections/{connection['connectionId']}"


def link(app: App, connection: dict[str, Any]) -> None:
    app.codat.state.link(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()


def test_connections_without_a_problem_need_no_person(app: App) -> None:
    """GIVEN a linked connection and a fresh link THEN the list is empty."""
    app.linked(app.customer()["customerId"])
    app.connection(app.customer()["customerId"])
    assert app.get("/connections?attention=true").json() == {"connections": [], "cursor": None}


@pytest.mark.parametrize("unlinked", [True, False])
def test_a_connection_to_reconnect_is_listed_until_it_is_linked(app: App, *, unlinked: bool) -> None:
    """GIVEN a connection that the app unlinked or the platform revoked THEN it is listed as the API shows it."""
    linked = app.linked(app.customer()["customerId"])
    if unlinked:
        app.post(f"{path_of(linked)}/unlink")
    else:
        revoke(app, linked)
    [page] = pages(app, "/connections?attention=true", "connections", 100)
    assert page == [app.read(linked)]
    assert page[0]["nextAction"] == "reconnect"
    link(app, linked)
    assert listed(app) == {}


def test_a_missing_connector_is_listed_until_the_connection_is_linked(app: App) -> None:
    connection = app.connection(app.customer()["customerId"], "pqsw")
    assert listed(app) == {connection["connectionId"]: "install-connector"}
    link(app, connection)
    assert listed(app) == {}


def test_an_abandoned_link_is_listed_until_there_is_a_fresh_one(app: App, clock: Clock) -> None:
    connection = app.connection(app.customer()["customerId"])
    clock.advance(timedelta(days=8).total_seconds())
    assert listed(app) == {}
    reconcile(app)
    assert listed(app) == {connection["connectionId"]: "authorize"}
    app.post(f"{path_of(connection)}/link")
    assert listed(app) == {}


def initial_read(connection: dict[str, Any], at: datetime, status: str) -> dict[str, Any]:
    body = deepcopy(webhook("read.completed.initial"))
    body |= {"id": str(uuid4()), "generatedDate": at.isoformat()}
    body["payload"]["referenceCompany"]["id"] = connection["companyId"]
    types = [{"connectionId": connection["connectionId"], "dataType": "bills", "status": status, "issues": []}]
    body["payload"]["dataTypes"] = types
    return body


def test_a_failed_initial_read_is_listed_until_one_succeeds(app: App) -> None:
    """GIVEN a webhook of a failed read THEN the linked connection is listed, until a read completes."""
    customer, connection_id = app.customer(), str(uuid4())
    connection = {**customer, "connectionId": connection_id}
    connected = webhook_about("connection.connected", company_id=customer["companyId"], connection_id=connection_id)
    connected["payload"]["connection"].pop("lastSync", None)
    assert app.deliver(connected).status_code == 204
    assert listed(app) == {}
    linked_at = datetime.fromisoformat(connected["generatedDate"])
    assert app.deliver(initial_read(connection, linked_at + timedelta(minutes=1), "FetchError")).status_code == 204
    assert app.read(connection)["initialReadIssues"] == [{"dataType": "bills", "status": "FetchError"}]
    assert listed(app) == {connection_id: "none"}
    assert app.deliver(initial_read(connection, linked_at + timedelta(minutes=2), "Complete")).status_code == 204
    assert listed(app) == {}


def test_a_deleted_connection_needs_nobody(app: App) -> None:
    """GIVEN listed connections WHEN one is deleted, and the other with its customer THEN the index has no entry."""
    first, second = (app.linked(app.customer()["customerId"]) for _ in range(2))
    for linked in (first, second):
        revoke(app, linked)
    assert set(listed(app)) == {first["connectionId"], second["connectionId"]}
    assert app.http.delete(path_of(first)).status_code == 204
    assert app.http.delete(f"/customers/{second['customerId']}").status_code == 204
    assert listed(app) == {}
    assert not [item for item in app.items("COMPANY#") if "attentionShard" in item]


def test_an_initial_read_before_the_connection_is_not_listed(app: App) -> None:
    """GIVEN a placeholder THEN it is not in the index."""
    connection = {**app.customer(), "connectionId": str(uuid4())}
    assert app.deliver(initial_read(connection, runtime_clock.now(), "FetchError")).status_code == 204
    assert listed(app) == {}


def test_the_list_has_pages(app: App) -> None:
    """THEN each connection is listed once, for every page size."""
    revoked = [app.linked(app.customer()["customerId"]) for _ in range(5)]
    for linked in revoked:
        revoke(app, linked)
    for limit in (2, 100):
        assert listed(app, limit) == {linked["connectionId"]: "reconnect" for linked in revoked}


def test_an_outdated_entry_of_the_index_is_left_out(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN an index that still contains a connection THEN the table's state decides."""
    linked = app.linked(app.customer()["customerId"])
    entry: Item = {"pk": f"COMPANY#{linked['companyId']}", "sk": f"CONNECTION#{linked['connectionId']}"}
    monkeypatch.setattr(ShardedQuery, "page", lambda *_: ([entry], None))
    assert app.get("/connections?attention=true").json() == {"connections": [], "cursor": None}
    revoke(app, linked)
    assert len(app.get("/connections?attention=true").json()["connections"]) == 1
