"""The event bus, asked by boto3 as a function does."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local import aws
from local.aws.bus import Bus, BusEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_events import EventBridgeClient


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def client(bus: Bus) -> "Iterator[EventBridgeClient]":
    with aws.moto_server(lambda app: BusEndpoint(bus, app)) as url:
        yield boto3.client(
            "events",
            endpoint_url=url,
            region_name="eu-west-1",
            aws_access_key_id="LOCAL",
            aws_secret_access_key="local",
        )


def entry(number: int, **other: Any) -> Any:
    return {"Source": "tests", "DetailType": "thing.done", "Detail": json.dumps({"number": number}), **other}


def test_events_are_kept_in_order_as_they_would_be_delivered(bus: Bus, client: "EventBridgeClient") -> None:
    """GIVEN events put in two calls THEN they are there, oldest first, their detail as JSON and not as text."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    answer = client.put_events(Entries=[entry(1, Time=at, Resources=["arn:x"]), entry(2)])
    client.put_events(Entries=[entry(3, EventBusName="mine")])

    events = bus.events()
    assert answer["FailedEntryCount"] == 0
    assert [one["EventId"] for one in answer["Entries"]] == [one["id"] for one in events[:2]]
    assert [one["detail"] for one in events] == [{"number": 1}, {"number": 2}, {"number": 3}]
    assert {(one["source"], one["detail-type"]) for one in events} == {("tests", "thing.done")}
    assert (events[0]["time"], events[0]["resources"]) == ("2026-01-02T03:04:05Z", ["arn:x"])


def test_entries_fail_alone(bus: Bus, client: "EventBridgeClient") -> None:
    """WHEN two entries are to fail THEN those two do, the call succeeds, and the others are there."""
    bus.fail(2)
    answer = client.put_events(Entries=[entry(1), entry(2), entry(3)])

    assert answer["FailedEntryCount"] == 2
    assert ["ErrorCode" in one for one in answer["Entries"]] == [True, True, False]
    assert [one["detail"]["number"] for one in bus.events()] == [3]


@pytest.mark.parametrize("wrong", [{"Source": ""}, {"DetailType": ""}, {"Detail": ""}, {"Detail": "[1]"}])
def test_an_entry_that_is_no_event_fails(bus: Bus, client: "EventBridgeClient", wrong: dict[str, str]) -> None:
    """As EventBridge answers it: by entry."""
    answer = client.put_events(Entries=[entry(1, **wrong), entry(2)])
    assert answer["FailedEntryCount"] == 1
    assert "ErrorCode" in answer["Entries"][0]
    assert [one["detail"]["number"] for one in bus.events()] == [2]


def test_more_than_ten_entries_are_refused(bus: Bus, client: "EventBridgeClient") -> None:
    """The whole call, as EventBridge does."""
    with pytest.raises(ClientError, match="ValidationException"):
        client.put_events(Entries=[entry(number) for number in range(11)])
    assert bus.events() == []


def test_everything_else_is_motos(client: "EventBridgeClient") -> None:
    """The bus stands in front of moto, not in its place."""
    assert client.describe_event_bus()["Name"] == "default"
