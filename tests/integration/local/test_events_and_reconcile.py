"""The stream, the bus and reconcile, with fake handlers."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import httpx
import pytest

from local.aws import publisher
from local.aws.publisher import Publisher
from local.running import Stack
from local.settings import LocalSettings
from local.stack import running_stack
from local.template import Template

Handler = Callable[[dict[str, Any], Any], Any]


def stub(_: dict[str, Any], __: Any) -> Any:
    return None


@contextmanager
def running(**handlers: Handler) -> Iterator[Stack]:
    settings = LocalSettings.from_environment({"PORT": "0"})
    functions = dict.fromkeys(Template.load().functions, stub)
    with running_stack(settings, handlers={**functions, **handlers}) as stack:
        yield stack


def put(stack: Stack, sort_key: str, **attributes: Any) -> None:
    stack.dynamodb.put_item(
        TableName=stack.table_name, Item={"pk": {"S": "COMPANY#1"}, "sk": {"S": sort_key}, **attributes}
    )


def publish(event: dict[str, Any], _: Any) -> Any:
    """Put an event with the sort key of each record, and report the entries that failed."""
    numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
    entries: Any = [
        {
            "Source": "tests",
            "DetailType": record["eventName"],
            "Detail": json.dumps({"sk": record["dynamodb"]["Keys"]["sk"]["S"]}),
        }
        for record in event["Records"]
    ]
    response = boto3.client("events").put_events(Entries=entries)
    failed = [number for number, entry in zip(numbers, response["Entries"], strict=True) if "ErrorCode" in entry]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def test_events_include_all_earlier_writes() -> None:
    """GIVEN items of every kind WHEN the events are requested THEN those that match the template's filter are there."""
    with running(PublishChangesFunction=publish) as stack:
        for sort_key in ("COMPANY", "CONNECTION#1", "EVENT#1#2#3", "CREATING#qhyg", "CUSTOMER"):
            put(stack, sort_key)
        put(stack, "CONNECTION#1", status={"S": "Linked"})
        events = httpx.get(f"{stack.url}/_local/events").json()
    assert [(event["detail-type"], event["detail"]["sk"]) for event in events] == [
        ("INSERT", "CONNECTION#1"),
        ("INSERT", "CUSTOMER"),
        ("MODIFY", "CONNECTION#1"),
    ]


def test_a_write_is_published_without_a_request_for_events() -> None:
    """The stream is read at an interval."""
    with running(PublishChangesFunction=publish) as stack:
        stack.events()
        put(stack, "CUSTOMER")
        end = time.monotonic() + 5
        while not stack.bus.events() and time.monotonic() < end:
            time.sleep(0.005)
        assert len(stack.bus.events()) == 1


def test_throttled_entries_are_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a bus that throttles 5 entries THEN each change is published in the end."""
    monkeypatch.setattr(publisher, "_MIN_WAIT", 0.001)
    with running(PublishChangesFunction=publish) as stack:
        stack.bus.fail(5)
        for number in range(4):
            put(stack, f"CONNECTION#{number}")
        published = {event["detail"]["sk"] for event in stack.events()}
    assert sorted(published) == [f"CONNECTION#{number}" for number in range(4)]


def test_events_are_returned_although_the_publish_function_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a publish function that doesn't end THEN the events are returned after a timeout."""
    ends = threading.Event()
    with running(PublishChangesFunction=lambda *_: ends.wait(10) and None) as stack:
        drain = stack.publisher.drain
        monkeypatch.setattr(Publisher, "drain", lambda *_: drain(0.1))
        put(stack, "CUSTOMER")
        assert stack.events() == []
        ends.set()


def plan(*bodies: Any) -> Handler:
    """Return a plan function that queues these messages."""

    def handler(_: dict[str, Any], __: Any) -> None:
        sqs = boto3.client("sqs")
        for body in bodies:
            sqs.send_message(QueueUrl=os.environ["RECONCILE_QUEUE_URL"], MessageBody=json.dumps(body))

    return handler


def test_reconcile_returns_the_sums_of_the_counts() -> None:
    """GIVEN three messages THEN each is processed once, in an SQS event."""
    records: list[dict[str, Any]] = []

    def work(event: dict[str, Any], context: Any) -> Any:
        records.extend(event["Records"])
        assert context.get_remaining_time_in_millis() > 29_000
        return {"batchItemFailures": [], "found": {"companies": 2, "drift": 1, "abandoned": 0}}

    with running(PlanReconcileFunction=plan(1, 2, 3), ReconcileFunction=work) as stack:
        response = httpx.post(f"{stack.url}/_local/reconcile", timeout=20)
    assert (response.status_code, response.json()) == (
        200,
        {"companies": 6, "connections": 0, "drift": 3, "abandoned": 0, "failed": 0},
    )
    assert sorted(record["body"] for record in records) == ["1", "2", "3"]
    assert set(records[0]) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert records[0]["eventSource"] == "aws:sqs"
    assert records[0]["attributes"]["ApproximateReceiveCount"] == "1"


def test_the_scheduled_function_gets_an_event_of_eventbridge_scheduler() -> None:
    """It has its own timeout."""
    events: list[Any] = []

    def handler(event: dict[str, Any], context: Any) -> None:
        events.append((event["source"], event["detail-type"], context.get_remaining_time_in_millis() > 800_000))

    with running(PlanReconcileFunction=handler) as stack:
        assert stack.reconcile.run() == {"companies": 0, "connections": 0, "drift": 0, "failed": 0}
    assert events == [("aws.scheduler", "Scheduled Event", True)]


def max_receives(stack: Stack) -> int:
    count: int = stack.template.properties("ReconcileQueue")["RedrivePolicy"]["maxReceiveCount"]
    return count


@pytest.mark.parametrize("failure", ["reported", "raised"])
def test_a_message_that_keeps_failing_becomes_a_dead_letter(failure: str) -> None:
    """GIVEN a message that always fails THEN it is received as often as the template says, without waiting for the
    visibility timeout, and counted once.
    """
    bodies: list[str] = []

    def work(event: dict[str, Any], _: Any) -> Any:
        [record] = event["Records"]
        bodies.append(record["body"])
        if record["body"] == "2" and failure == "raised":
            raise RuntimeError("always")
        failures = [{"itemIdentifier": record["messageId"]}] if record["body"] == "2" else []
        return {"batchItemFailures": failures, "found": {"companies": 0 if failures else 1}}

    with running(PlanReconcileFunction=plan(1, 2, 3), ReconcileFunction=work) as stack:
        started = time.monotonic()
        assert stack.reconcile.run() == {"companies": 2, "connections": 0, "drift": 0, "failed": 1}
        assert time.monotonic() - started < 5
        assert sorted(bodies) == ["1", *["2"] * max_receives(stack), "3"]
        bodies.clear()
        assert stack.reconcile.run()["failed"] == 1
        assert bodies.count("2") == max_receives(stack)


def test_a_message_that_fails_once_is_retried() -> None:
    """It becomes no dead letter. The counts of both attempts are summed."""
    failed: list[str] = []

    def work(event: dict[str, Any], _: Any) -> Any:
        [record] = event["Records"]
        first = not failed
        failed.append(record["messageId"])
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}] if first else [], "found": {"drift": 1}}

    with running(PlanReconcileFunction=plan(1), ReconcileFunction=work) as stack:
        assert stack.reconcile.run() == {"companies": 0, "connections": 0, "drift": 2, "failed": 0}


def test_reconcile_returns_502_if_the_scheduled_function_fails(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the cause."""

    def handler(*_: Any) -> None:
        raise RuntimeError("no listing")

    with running(PlanReconcileFunction=handler) as stack:
        response = httpx.post(f"{stack.url}/_local/reconcile", timeout=20)
    assert response.status_code == 502
    assert response.headers["content-type"] == "application/problem+json"
    assert "PlanReconcileFunction failed" in response.json()["detail"]
    assert "no listing" in caplog.text


def test_concurrent_reconciles_are_serialized() -> None:
    """Each returns the counts of its own messages."""

    def work(_: dict[str, Any], __: Any) -> Any:
        time.sleep(0.02)
        return {"found": {"companies": 1}}

    with running(PlanReconcileFunction=plan(1, 2), ReconcileFunction=work) as stack:
        companies: list[Any] = []
        threads = [
            threading.Thread(target=lambda: companies.append(stack.reconcile.run()["companies"])) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert companies == [2, 2]
