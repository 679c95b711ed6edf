"""What AWS reports about a batch: as an error of the whole request, or of some of its messages."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from shared.domain.changes import ChangeEvent
from shared.domain.errors import QueueUnavailable
from shared.messaging.event_bus import EventBus
from shared.messaging.queue import Queue

EVENTS = [ChangeEvent("customer.updated", {"version": number}) for number in range(12)]


CREDENTIALS: Any = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "eu-west-1"}


@pytest.fixture
def sqs() -> Any:
    return boto3.client("sqs", **CREDENTIALS)


@pytest.fixture
def events() -> Any:
    return boto3.client("events", **CREDENTIALS)


def test_a_message_that_the_queue_rejects_is_an_error(sqs: Any) -> None:
    """GIVEN messages, of which SQS rejects one THEN the caller repeats all."""
    rejected = {"Id": "0", "SenderFault": False, "Code": "InternalError"}
    with Stubber(sqs) as stubber:
        stubber.add_response("send_message_batch", {"Successful": [], "Failed": [rejected]})
        with pytest.raises(QueueUnavailable):
            Queue(sqs, "https://sqs/queue").send([{"page": 1}])


def test_a_request_that_the_queue_rejects_is_an_error(sqs: Any) -> None:
    with Stubber(sqs) as stubber:
        stubber.add_client_error("send_message_batch", "ThrottlingException")
        with pytest.raises(QueueUnavailable):
            Queue(sqs, "https://sqs/queue").send([{"page": 1}])


def test_after_a_failed_request_all_later_events_have_failed(events: Any) -> None:
    """GIVEN two requests, of which the first fails THEN the second is not sent."""
    with Stubber(events) as stubber:
        stubber.add_client_error("put_events", "ThrottlingException")
        assert EventBus(events, "bus").put(EVENTS) == dict.fromkeys(range(12), "ThrottlingException")


def test_an_unreachable_bus_is_named_by_its_error() -> None:
    class Unreachable:
        def put_events(self, **_: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="https://events")

    bus: Any = Unreachable()
    assert EventBus(bus, "bus").put(EVENTS[:1]) == {0: "EndpointConnectionError"}
