"""The event bus, called through boto3."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.aws.bus import Bus
from local.aws.moto_server import moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_events import EventBridgeClient


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def client(bus: Bus) -> "Iterator[EventBridgeClient]":
    with moto_server(bus.endpoint) as url:
        yield boto3.client(
            "events",
            endpoint_url=url,
            region_name="eu-west-1",
            aws_access_key_id="LOCAL",
            aws_secret_access_key="local",
        )


def make_entry(number: int, **other: Any) -> Any:
    return {"Source": "tests", "DetailType": "thing.done", "Detail": json.dumps({"number": number}), **other}


def test_events_are_stored_in_order_in_the_form_of_their_delivery(bus: Bus, client: "EventBridgeClient") -> None:
    """GIVEN two calls THEN their events are returned oldest first, with the detail as JSON."""
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    response = client.put_events(Entries=[make_entry(1, Time=time, Resources=["arn:x"]), make_entry(2)])
    client.put_events(Entries=[make_entry(3, EventBusName="mine")])

    events = bus.events()
    assert response["FailedEntryCount"] == 0
    assert [entry["EventId"] for entry in response["Entries"]] == [event["id"] for event in events[:2]]
    assert [event["detail"] for event in events] == [{"number": 1}, {"number": 2}, {"number": 3}]
    assert {(event["source"], event["detail-type"]) for event in events} == {("tests", "thing.done")}
    assert (events[0]["time"], events[0]["resources"]) == ("2026-01-02T03:04:05Z", ["arn:x"])


def test_throttled_entries_fail_and_the_others_succeed(bus: Bus, client: "EventBridgeClient") -> None:
    """WHEN two entries are throttled THEN the call succeeds, and the third entry is stored."""
    bus.fail(2)
    response = client.put_events(Entries=[make_entry(1), make_entry(2), make_entry(3)])

    assert response["FailedEntryCount"] == 2
    assert ["ErrorCode" in entry for entry in response["Entries"]] == [True, True, False]
    assert [event["detail"]["number"] for event in bus.events()] == [3]


def test_a_call_with_more_than_ten_entries_is_rejected(bus: Bus, client: "EventBridgeClient") -> None:
    """EventBridge stores none of them."""
    with pytest.raises(ClientError, match="ValidationException"):
        client.put_events(Entries=[make_entry(number) for number in range(11)])
    assert bus.events() == []


def test_other_requests_are_answered_by_moto(client: "EventBridgeClient") -> None:
    """The bus handles PutEvents only."""
    assert client.describe_event_bus()["Name"] == "default"
