"""The stream, the bus and the reconcile beside the API, with handlers of a few lines."""

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

from local import batches
from local.settings import LocalSettings
from local.stack import Stack, running_stack
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


def tell(event: dict[str, Any], _: Any) -> Any:
    """A publish function: puts the sort key of each record, and says what was not taken."""
    numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
    entries: Any = [
        {
            "Source": "tests",
            "DetailType": record["eventName"],
            "Detail": json.dumps({"sk": record["dynamodb"]["Keys"]["sk"]["S"]}),
        }
        for record in event["Records"]
    ]
    answer = boto3.client("events").put_events(Entries=entries)
    failed = [number for number, one in zip(numbers, answer["Entries"], strict=True) if "ErrorCode" in one]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def test_what_was_written_is_on_the_bus_when_asked() -> None:
    """GIVEN items of every kind WHEN the events are asked for at once THEN those of the template's filter are there."""
    with running(PublishChangesFunction=tell) as stack:
        for sort_key in ("COMPANY", "CONNECTION#1", "EVENT#1#2#3", "CREATING#qhyg", "CUSTOMER"):
            put(stack, sort_key)
        put(stack, "CONNECTION#1", status={"S": "Linked"})
        events = httpx.get(f"{stack.url}/_local/events").json()
    assert [(one["detail-type"], one["detail"]["sk"]) for one in events] == [
        ("INSERT", "CONNECTION#1"),
        ("INSERT", "CUSTOMER"),
        ("MODIFY", "CONNECTION#1"),
    ]


def test_it_is_told_without_being_asked() -> None:
    """Within 200 ms of the write."""
    with running(PublishChangesFunction=tell) as stack:
        stack.events()
        put(stack, "CUSTOMER")
        end = time.monotonic() + 0.2
        while not stack.background.bus.events() and time.monotonic() < end:
            time.sleep(0.005)
        assert len(stack.background.bus.events()) == 1


def test_entries_that_the_bus_refuses_are_put_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a bus that refuses some entries for a while THEN each change is told in the end, none too few."""
    monkeypatch.setattr(batches, "_FIRST_WAIT", 0.001)
    with running(PublishChangesFunction=tell) as stack:
        stack.background.bus.fail(5)
        for number in range(4):
            put(stack, f"CONNECTION#{number}")
        told = [one["detail"]["sk"] for one in stack.events()]
    assert sorted(set(told)) == [f"CONNECTION#{number}" for number in range(4)]


def test_a_function_that_hangs_does_not_hold_up_the_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a publish function that never ends THEN what is on the bus is shown all the same, after a while."""
    monkeypatch.setattr("local.aws.background._DRAINED_WITHIN", 0.1)
    ends = threading.Event()
    with running(PublishChangesFunction=lambda *_: ends.wait(10) and None) as stack:
        put(stack, "CUSTOMER")
        assert stack.events() == []
        ends.set()


def plan(*bodies: Any) -> Handler:
    """A plan function that queues these."""

    def handler(_: dict[str, Any], __: Any) -> None:
        sqs = boto3.client("sqs")
        for body in bodies:
            sqs.send_message(QueueUrl=os.environ["RECONCILE_QUEUE_URL"], MessageBody=json.dumps(body))

    return handler


def test_a_reconcile_sums_up_what_each_message_found() -> None:
    """GIVEN three messages THEN each is worked on once, by a true SQS event, and the answer is the sum."""
    seen: list[dict[str, Any]] = []

    def work(event: dict[str, Any], context: Any) -> Any:
        seen.extend(event["Records"])
        assert context.get_remaining_time_in_millis() > 29_000
        return {"batchItemFailures": [], "found": {"companies": 2, "drift": 1, "abandoned": 0}}

    with running(PlanReconcileFunction=plan(1, 2, 3), ReconcileFunction=work) as stack:
        answer = httpx.post(f"{stack.url}/_local/reconcile", timeout=20)
    assert (answer.status_code, answer.json()) == (
        200,
        {"companies": 6, "connections": 0, "drift": 3, "abandoned": 0, "failed": 0},
    )
    assert sorted(record["body"] for record in seen) == ["1", "2", "3"]
    assert set(seen[0]) == {
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
    assert seen[0]["eventSource"] == "aws:sqs"
    assert seen[0]["attributes"]["ApproximateReceiveCount"] == "1"


def test_the_plan_gets_what_the_scheduler_sends() -> None:
    """An event of EventBridge Scheduler, and the whole of the function's own time."""
    got: list[Any] = []

    def handler(event: dict[str, Any], context: Any) -> None:
        got.append((event["source"], event["detail-type"], context.get_remaining_time_in_millis() > 800_000))

    with running(PlanReconcileFunction=handler) as stack:
        assert stack.background.reconcile() == {"companies": 0, "connections": 0, "drift": 0, "failed": 0}
    assert got == [("aws.scheduler", "Scheduled Event", True)]


@pytest.mark.parametrize("how", ["reported", "raised"])
def test_a_message_that_always_fails_ends_among_the_dead_letters(how: str) -> None:
    """GIVEN one message of three that fails each time THEN it is tried as often as the template says, alone, without
    waiting for a time-out, and counted; the next reconcile is not held responsible for it.
    """
    tries: list[str] = []

    def work(event: dict[str, Any], _: Any) -> Any:
        [record] = event["Records"]
        tries.append(record["body"])
        if record["body"] == "2" and how == "raised":
            raise RuntimeError("always")
        failures = [{"itemIdentifier": record["messageId"]}] if record["body"] == "2" else []
        return {"batchItemFailures": failures, "found": {"companies": 0 if failures else 1}}

    with running(PlanReconcileFunction=plan(1, 2, 3), ReconcileFunction=work) as stack:
        started = time.monotonic()
        assert stack.background.reconcile() == {"companies": 2, "connections": 0, "drift": 0, "failed": 1}
        assert time.monotonic() - started < 5
        assert sorted(tries) == ["1", *["2"] * stack.template.queue("ReconcileQueue").max_receives, "3"]
        tries.clear()
        assert stack.background.reconcile()["failed"] == 1
        assert tries.count("2") == stack.template.queue("ReconcileQueue").max_receives


def test_a_message_that_fails_once_is_done_the_next_time() -> None:
    """No dead letter, and what the failing try had found already counts."""
    failed: list[str] = []

    def work(event: dict[str, Any], _: Any) -> Any:
        [record] = event["Records"]
        first = not failed
        failed.append(record["messageId"])
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}] if first else [], "found": {"drift": 1}}

    with running(PlanReconcileFunction=plan(1), ReconcileFunction=work) as stack:
        assert stack.background.reconcile() == {"companies": 0, "connections": 0, "drift": 2, "failed": 0}


def test_a_plan_that_fails_is_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was queued, so there is nothing to sum up; the log says why."""

    def handler(*_: Any) -> None:
        raise RuntimeError("no listing")

    with running(PlanReconcileFunction=handler) as stack:
        answer = httpx.post(f"{stack.url}/_local/reconcile", timeout=20)
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert "PlanReconcileFunction failed" in answer.json()["detail"]
    assert "no listing" in caplog.text


def test_two_reconciles_wait_for_each_other() -> None:
    """Each counts its own messages, and no more."""

    def work(_: dict[str, Any], __: Any) -> Any:
        time.sleep(0.02)
        return {"found": {"companies": 1}}

    with running(PlanReconcileFunction=plan(1, 2), ReconcileFunction=work) as stack:
        answers: list[Any] = []
        threads = [
            threading.Thread(target=lambda: answers.append(stack.background.reconcile()["companies"])) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [2, 2]
