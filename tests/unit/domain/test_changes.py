"""Which change becomes which event for the app."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.changes import connection_event, customer_event
from shared.domain.connections import Connection, Precedence, Source, Status, StatusUpdate, merge, placeholder, stamp
from shared.domain.customers import Customer, Profile
from shared.domain.timestamps import timestamp

NOW = timestamp("2026-11-22T12:00:00Z")
LATER = timestamp("2026-11-22T12:00:01Z")
CUSTOMER = Customer("c-1", "company", Profile("Bank of Dave"), NOW, NOW, 7)
UPDATE = StatusUpdate(
    stamp(NOW, Precedence.EVENT, "event"),
    "company",
    "connection",
    Source("qhyg", "QuickBooks Online", "Accounting"),
    NOW,
    Status.PENDING_AUTH,
)
PENDING = replace(merge(placeholder("company", "connection", "c-1", NOW), UPDATE, NOW), version=7)
LINKED = replace(PENDING, status=Status.LINKED, linked_event_at=NOW, version=8)
DELETED = replace(LINKED, status=Status.DELETED, version=9)
ABANDONED = replace(PENDING, abandoned_at=NOW, version=8)
TOMBSTONE = replace(DELETED, customer_id="", is_tombstone=True)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, CUSTOMER, ("customer.created", 7)),
        (CUSTOMER, replace(CUSTOMER, profile=Profile("Bank of Mary"), version=8), ("customer.updated", 8)),
        (CUSTOMER, None, ("customer.deleted", 8)),
        (CUSTOMER, replace(CUSTOMER, confirmed_profile=CUSTOMER.profile, version=8), None),
        (CUSTOMER, replace(CUSTOMER, existing_tags={"a": "1"}, version=8), None),
        (None, None, None),
    ],
)
def test_changes_of_a_customer(
    before: Customer | None, after: Customer | None, expected: tuple[str, int] | None
) -> None:
    """The event of a deletion has a version above every earlier one."""
    event = customer_event(before, after)
    assert (event and (event.detail_type, event.detail["version"])) == expected
    if event:
        version = event.detail["version"]
        assert event.detail == {
            "customerId": "c-1",
            "companyId": "company",
            "version": version,
            "eventId": f"c-1:{version}",
        }


@pytest.mark.parametrize(
    ("before", "after", "detail_type", "previous"),
    [
        (None, PENDING, "connection.created", None),
        (None, DELETED, "connection.deleted", None),
        (PENDING, LINKED, "connection.updated", "PendingAuth"),
        (LINKED, DELETED, "connection.deleted", "Linked"),
        (LINKED, TOMBSTONE, "connection.deleted", "Linked"),
        (PENDING, ABANDONED, "connection.abandoned", "PendingAuth"),
        (PENDING, replace(PENDING, last_sync=NOW), "connection.updated", "PendingAuth"),
        (PENDING, replace(PENDING, reported_error="Cancelled."), "connection.updated", "PendingAuth"),
        (ABANDONED, replace(ABANDONED, abandoned_at=None), "connection.updated", "PendingAuth"),
    ],
)
def test_changes_of_a_connection(
    before: Connection | None, after: Connection, detail_type: str, previous: str | None
) -> None:
    event = connection_event(before, after)
    assert event is not None
    assert (event.detail_type, event.detail["previousStatus"]) == (detail_type, previous)
    assert event.detail["eventId"] == f"connection:{after.version}"
    # A tombstone no longer contains the customer.
    assert event.detail["customerId"] == "c-1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (PENDING, replace(PENDING, updated_at=LATER, version=8)),
        (PENDING, replace(PENDING, link_issued_at=LATER, version=8)),
        (DELETED, TOMBSTONE),
        (DELETED, replace(DELETED, last_sync=LATER)),
        (TOMBSTONE, None),
        (None, None),
    ],
)
def test_changes_that_the_app_cannot_see_are_not_published(before: Connection | None, after: Connection | None) -> None:
    assert connection_event(before, after) is None


def test_the_detail_of_a_connection() -> None:
    event = connection_event(PENDING, LINKED)
    assert event is not None
    expected: dict[str, Any] = {
        "connectionId": "connection",
        "customerId": "c-1",
        "companyId": "company",
        "platformKey": "qhyg",
        "platformName": "QuickBooks Online",
        "status": "Linked",
        "previousStatus": "PendingAuth",
        "nextAction": "none",
        "error": None,
        "lastSync": None,
        "linkedAt": NOW,
        "initialReadAt": None,
        "initialReadIssues": [],
        "asOf": NOW,
        "version": 8,
        "eventId": "connection:8",
    }
    assert event.detail == expected
