"""Delivery of stream records to a function."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local.aws import batches
from local.aws.batches import BatchDelivery, failed_ids
from local.aws.event_sources import StreamSource
from local.gateway.invocation import FunctionError

SOURCE = StreamSource(
    function="F", table="Table", batch_size=4, retries=3, bisects=True, reports_failures=True, filters=()
)

Result = Callable[[list[str]], Any]


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_MIN_WAIT", 0.0001)
    monkeypatch.setattr(batches, "_MAX_WAIT", 0.0001)


class Function:
    """Record the sequence numbers of each invocation, and return `result(numbers)`."""

    def __init__(self, source: StreamSource, result: Result) -> None:
        self._result = result
        self.stopping = threading.Event()
        self.invocations: list[list[str]] = []
        self.batches = BatchDelivery(source, self._invoke, self.stopping)

    def deliver(self, count: int) -> None:
        self.batches.deliver([{"dynamodb": {"SequenceNumber": str(number)}} for number in range(1, count + 1)])

    @property
    def discarded(self) -> list[str]:
        return [record["dynamodb"]["SequenceNumber"] for record in self.batches.discarded]

    def _invoke(self, event: dict[str, Any]) -> Any:
        numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
        self.invocations.append(numbers)
        return self._result(numbers)


def failing(*numbers: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": number} for number in numbers]}


def test_records_are_delivered_in_batches_and_in_order() -> None:
    """GIVEN 6 records and a batch size of 4 THEN the function gets two batches, each record once."""
    function = Function(SOURCE, lambda _: None)
    function.deliver(6)
    assert function.invocations == [["1", "2", "3", "4"], ["5", "6"]]


def test_records_that_no_filter_matches_are_not_delivered() -> None:
    """An empty batch invokes no function."""
    source = replace(SOURCE, filters=('{"dynamodb": {"SequenceNumber": ["2"]}}',))
    function = Function(source, lambda _: None)
    function.deliver(3)
    assert function.invocations == [["2"]]
    function.batches.deliver([{"dynamodb": {"SequenceNumber": "9"}}])
    assert len(function.invocations) == 1


def test_records_from_the_first_failure_on_are_retried() -> None:
    """WHEN the third record fails once THEN the third and the fourth are delivered again."""
    results = [failing("4", "3"), None]
    function = Function(SOURCE, lambda _: results.pop(0))
    function.deliver(4)
    assert function.invocations == [["1", "2", "3", "4"], ["3", "4"]]
    assert function.discarded == []


def test_a_batch_is_discarded_after_its_last_retry() -> None:
    """GIVEN three retries THEN the rest of the batch goes to the on-failure destination after the third."""
    function = Function(SOURCE, lambda numbers: failing("2") if "2" in numbers else None)
    function.deliver(6)
    assert function.invocations == [["1", "2", "3", "4"], *[["2", "3", "4"]] * 4, ["5", "6"]]
    assert function.discarded == ["2", "3", "4"]


def test_bisecting_isolates_the_record_at_which_the_function_raises() -> None:
    """WHEN the function raises at record 3 THEN only record 3 is discarded."""
    processed: list[str] = []

    def result(numbers: list[str]) -> None:
        if "3" in numbers:
            raise FunctionError("F failed")
        processed.extend(numbers)

    function = Function(SOURCE, result)
    function.deliver(4)
    assert processed == ["1", "2", "4"]
    assert function.discarded == ["3"]


def test_without_bisecting_the_whole_batch_is_retried() -> None:
    """GIVEN a source without BisectBatchOnFunctionError THEN the batch stays as it is."""

    def result(_: list[str]) -> None:
        raise FunctionError("F failed")

    function = Function(replace(SOURCE, bisects=False, retries=1), result)
    function.deliver(2)
    assert function.invocations == [["1", "2"], ["1", "2"]]
    assert function.discarded == ["1", "2"]


def test_reported_failures_are_ignored_without_report_batch_item_failures() -> None:
    """Lambda then ignores the function's result."""
    function = Function(replace(SOURCE, reports_failures=False), lambda _: failing("1"))
    function.deliver(2)
    assert function.invocations == [["1", "2"]]


def test_retries_end_when_the_stack_stops() -> None:
    """A failing bus doesn't delay Ctrl-C."""
    function = Function(replace(SOURCE, retries=None), lambda _: failing("1"))
    function.stopping.set()
    function.deliver(2)
    assert function.invocations == [["1", "2"]]


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        (failing("2"), {"2"}),
        (failing("7"), {"1", "2"}),
        (failing(""), {"1", "2"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, {"1", "2"}),
        ({"batchItemFailures": [{"id": "2"}]}, {"1", "2"}),
        ({"batchItemFailures": "2"}, {"1", "2"}),
    ],
)
def test_an_invalid_report_fails_all_items(result: Any, failed: set[str]) -> None:
    """Lambda retries all of them: processed twice is better than lost."""
    assert failed_ids(result, ["1", "2"]) == failed
