"""`linkedAt`, `initialReadAt` and `initialReadIssues`, from webhooks in any order, or from syncs if they are lost."""

from copy import deepcopy
from itertools import permutations
from typing import Any
from uuid import uuid4

import pytest
from codat_simulator.state import CompanyChange

from tests.conftest import App
from tests.integration.functions.calls import adopting_orphans, lose_webhooks, reconcile
from tests.payloads import webhook, webhook_about

LINKED, READ, REVOKED, RELINKED, READ_AGAIN = (f"2026-11-02T0{hour}:00:00.0000000Z" for hour in range(1, 6))


class Subject:
    """A connection of a new customer, about which a test delivers webhooks."""

    def __init__(self, app: App) -> None:
        self._app = app
        customer = app.customer()
        self.connection_id = str(uuid4())
        self._customer_id = customer["customerId"]
        self.company_id = customer["companyId"]

    def event(self, name: str, at: str, **connection: Any) -> dict[str, Any]:
        body = webhook_about(name, company_id=self.company_id, connection_id=self.connection_id, generatedDate=at)
        body["payload"]["connection"].pop("lastSync", None)
        body["payload"]["connection"] |= connection
        return body

    def read(self, at: str, **statuses: str) -> dict[str, Any]:
        body = deepcopy(webhook("read.completed.initial"))
        body |= {"id": str(uuid4()), "generatedDate": at}
        body["payload"]["referenceCompany"]["id"] = self.company_id
        body["payload"]["dataTypes"] = [
            {"connectionId": self.connection_id, "dataType": name, "status": status, "issues": []}
            for name, status in (statuses or {"bills": "Complete", "suppliers": "Complete"}).items()
        ]
        return body

    def deliver(self, *bodies: dict[str, Any]) -> dict[str, Any]:
        for body in bodies:
            assert self._app.deliver(body).status_code == 204
        return self.shown()

    def shown(self) -> dict[str, Any]:
        connection = self._app.read({"customerId": self._customer_id, "connectionId": self.connection_id})
        return {name: connection[name] for name in ("linkedAt", "initialReadAt", "initialReadIssues")}


def times(linked_at: str | None, read_at: str | None, **issues: str) -> dict[str, Any]:
    documents = [{"dataType": name, "status": status} for name, status in sorted(issues.items())]
    return {"linkedAt": linked_at, "initialReadAt": read_at, "initialReadIssues": documents}


def test_a_connection_that_was_never_linked_has_no_times(app: App) -> None:
    """THEN both times are null, and there are no issues."""
    subject = Subject(app)
    assert subject.deliver(subject.event("connection.created", LINKED, status="PendingAuth")) == times(None, None)


def test_each_authorisation_has_a_read_of_its_own(app: App) -> None:
    """GIVEN a reconnection THEN `linkedAt` is its time, and the earlier read no longer counts."""
    subject = Subject(app)
    connected, read = subject.event("connection.connected", LINKED), subject.read(READ)
    assert subject.deliver(connected, read) == times(LINKED, READ)
    revoked = subject.event("connection.disconnected", REVOKED, status="Deauthorized")
    assert subject.deliver(revoked) == times(LINKED, READ)
    assert subject.deliver(subject.event("connection.reconnected", RELINKED)) == times(RELINKED, None)
    assert subject.deliver(subject.read(READ_AGAIN)) == times(RELINKED, READ_AGAIN)


@pytest.mark.parametrize("order", list(permutations(range(5)))[::7])
def test_the_order_of_arrival_does_not_matter(app: App, order: tuple[int, ...]) -> None:
    """GIVEN the same five events in any order, each twice THEN the same times."""
    subject = Subject(app)
    events = [
        subject.event("connection.connected", LINKED),
        subject.read(READ),
        subject.event("connection.disconnected", REVOKED, status="Deauthorized"),
        subject.event("connection.reconnected", RELINKED),
        subject.read(READ_AGAIN, bills="FetchError", suppliers="Complete"),
    ]
    expected = times(RELINKED, None, bills="FetchError")
    assert subject.deliver(*(events[index] for index in order), *events) == expected


def test_a_data_type_that_failed_is_listed(app: App) -> None:
    """GIVEN a failed data type THEN null and an issue, until an event says that all are complete."""
    subject = Subject(app)
    subject.deliver(subject.event("connection.connected", LINKED))
    failed = subject.read(READ, bills="FetchError", suppliers="Complete")
    assert subject.deliver(failed) == times(LINKED, None, bills="FetchError")
    complete = subject.read(READ_AGAIN, bills="Complete", suppliers="Complete")
    assert subject.deliver(complete) == times(LINKED, READ_AGAIN)


def test_a_type_that_the_platform_does_not_have_is_no_failure(app: App) -> None:
    """`NotSupported` is Codat's word for it."""
    subject = Subject(app)
    subject.deliver(subject.event("connection.connected", LINKED))
    assert subject.deliver(subject.read(READ, bills="Complete", suppliers="NotSupported")) == times(LINKED, READ)


def test_data_types_without_a_connection_or_status_are_accepted(app: App) -> None:
    """Both fields are optional in Codat's contract."""
    subject = Subject(app)
    subject.deliver(subject.event("connection.connected", LINKED))
    body = subject.read(READ)
    del body["payload"]["dataTypes"][0]["status"]
    body["payload"]["dataTypes"].append({"dataType": "invoices", "status": "FetchError"})
    assert subject.deliver(body) == times(LINKED, READ)


def test_a_lost_event_is_replaced_by_the_first_sync(app: App) -> None:
    """GIVEN a lost `read.completed.initial` THEN the earliest `lastSync` at or after `linkedAt` replaces it."""
    subject = Subject(app)
    subject.deliver(subject.event("connection.connected", LINKED))
    before = subject.event("connection.connected", LINKED, lastSync="2026-11-02T00:30:00Z")
    assert subject.deliver(before) == times(LINKED, None)
    first = subject.event("connection.connected", READ_AGAIN, lastSync="2026-11-02T05:00:00Z")
    assert subject.deliver(first)["initialReadAt"] == "2026-11-02T05:00:00.0000000Z"


def test_reconcile_repairs_a_lost_event(app: App) -> None:
    """GIVEN an authorisation and an initial read whose webhooks were lost THEN reconcile stores both."""
    pending = app.connection(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.link(pending["companyId"], pending["connectionId"])
    app.codat.wait_idle()
    reconcile(app)
    repaired = app.read(pending)
    assert repaired["status"] == "Linked"
    assert pending["createdAt"] <= repaired["linkedAt"] <= repaired["initialReadAt"] == repaired["lastSync"]


def test_an_adopted_company_shows_when_it_was_read(app: App) -> None:
    """GIVEN an adoption by reconcile or by a call THEN `lastSync` is the time of the initial read."""
    lose_webhooks(app)
    for customer_id in (None, f"o-{uuid4()}"):
        tags = {} if customer_id is None else {"uid": customer_id}
        company = app.codat.state.create_company(CompanyChange(name="By hand", tags=tags))
        connection = app.codat.state.create_connection(company.id, "gbol")
        app.codat.state.link(company.id, connection.id)
        app.codat.wait_idle()
        app.codat.state.finish_initial_read(company.id, connection.id)
        if customer_id is None:
            body = {"customerId": f"c-{uuid4()}", "name": "Bank of Dave", "companyId": company.id}
            [adopted] = app.post("/customers", body).json()["connections"]
        else:
            with adopting_orphans():
                reconcile(app)
            [adopted] = app.get(f"/customers/{customer_id}").json()["connections"]
        assert adopted["linkedAt"] == adopted["createdAt"]
        assert adopted["initialReadAt"] == adopted["lastSync"] is not None


def test_the_simulator_sends_a_read_after_each_authorisation(app: App) -> None:
    """GIVEN a link, a revocation and another link THEN the initial read of each is recorded."""
    linked = app.linked(app.customer()["customerId"])
    first = app.read(linked)
    assert first["linkedAt"] <= first["initialReadAt"]
    app.codat.state.revoke(linked["companyId"], linked["connectionId"])
    app.codat.wait_idle()
    app.codat.state.link(linked["companyId"], linked["connectionId"])
    app.codat.wait_idle()
    second = app.read(linked)
    assert first["initialReadAt"] < second["linkedAt"] <= second["initialReadAt"]
