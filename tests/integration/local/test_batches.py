"""Records of a stream, handed to a function of a few lines."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local import batches
from local.aws.batches import Batches, failed_items
from local.aws.event_sources import StreamSource
from local.gateway.invocation import FunctionError

SOURCE = StreamSource(
    function="F", table="Table", batch_size=4, retries=3, bisects=True, reports_failures=True, filters=()
)

Answer = Callable[[list[str]], Any]


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_FIRST_WAIT", 0.0001)
    monkeypatch.setattr(batches, "_LONGEST_WAIT", 0.0001)


class World:
    """Numbers the records 1, 2, … and notes what the function was handed."""

    def __init__(self, source: StreamSource, answer: Answer) -> None:
        self._answer = answer
        self.stopping = threading.Event()
        self.handed: list[list[str]] = []
        self.batches = Batches(source, self._invoke, self.stopping)

    def deliver(self, count: int) -> None:
        self.batches.deliver([{"dynamodb": {"SequenceNumber": str(number)}} for number in range(1, count + 1)])

    @property
    def given_up(self) -> list[str]:
        return [record["dynamodb"]["SequenceNumber"] for record in self.batches.given_up]

    def _invoke(self, event: dict[str, Any]) -> Any:
        numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
        self.handed.append(numbers)
        return self._answer(numbers)


def failing(*numbers: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": number} for number in numbers]}


def test_in_batches_and_in_order() -> None:
    """GIVEN more records than a batch holds THEN they come in batches, in the stream's order, each once."""
    world = World(SOURCE, lambda _: None)
    world.deliver(6)
    assert world.handed == [["1", "2", "3", "4"], ["5", "6"]]


def test_only_what_the_filter_lets_through() -> None:
    """A batch in which nothing is left invokes nobody."""
    source = replace(SOURCE, filters=({"dynamodb": {"SequenceNumber": ["2"]}},))
    world = World(source, lambda _: None)
    world.deliver(3)
    assert world.handed == [["2"]]
    world.batches.deliver([{"dynamodb": {"SequenceNumber": "9"}}])
    assert len(world.handed) == 1


def test_from_the_first_failure_on_it_is_handed_over_again() -> None:
    """WHEN the function fails at the third, once, THEN the third and what follows come again, and nothing before."""
    answers = [failing("4", "3"), None]
    world = World(SOURCE, lambda _: answers.pop(0))
    world.deliver(4)
    assert world.handed == [["1", "2", "3", "4"], ["3", "4"]]
    assert world.given_up == []


def test_a_failure_that_stays_ends_with_the_batch_given_up() -> None:
    """GIVEN three retries THEN after the third all that is left goes to the on-failure destination, as Lambda does."""
    world = World(SOURCE, lambda numbers: failing("2") if "2" in numbers else None)
    world.deliver(6)
    assert world.handed == [["1", "2", "3", "4"], *[["2", "3", "4"]] * 4, ["5", "6"]]
    assert world.given_up == ["2", "3", "4"]


def test_a_record_that_the_function_cannot_take_is_found_by_halving() -> None:
    """WHEN the function raises at one record THEN that one alone is given up, and all others are done."""
    done: list[str] = []

    def answer(numbers: list[str]) -> None:
        if "3" in numbers:
            raise FunctionError("F failed")
        done.extend(numbers)

    world = World(SOURCE, answer)
    world.deliver(4)
    assert done == ["1", "2", "4"]
    assert world.given_up == ["3"]


def test_without_bisecting_a_batch_fails_whole() -> None:
    """GIVEN a source that doesn't halve THEN the batch is tried again as it is."""

    def answer(_: list[str]) -> None:
        raise FunctionError("F failed")

    world = World(replace(SOURCE, bisects=False, retries=1), answer)
    world.deliver(2)
    assert world.handed == [["1", "2"], ["1", "2"]]
    assert world.given_up == ["1", "2"]


def test_answers_count_only_where_the_template_says_so() -> None:
    """Without ReportBatchItemFailures Lambda doesn't read what the function returns."""
    world = World(replace(SOURCE, reports_failures=False), lambda _: failing("1"))
    world.deliver(2)
    assert world.handed == [["1", "2"]]


def test_stopping_ends_the_retries() -> None:
    """A bus that is down must not hold up Ctrl-C."""
    world = World(replace(SOURCE, retries=None), lambda _: failing("1"))
    world.stopping.set()
    world.deliver(2)
    assert world.handed == [["1", "2"]]


@pytest.mark.parametrize(
    ("answer", "failed"),
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
def test_an_answer_that_makes_no_sense_fails_everything(answer: Any, failed: set[str]) -> None:
    """Better done twice than lost: that is how Lambda reads it."""
    assert failed_items(answer, ["1", "2"]) == failed
