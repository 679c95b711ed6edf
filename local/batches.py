"""Records of a stream, handed to a function as Lambda does it: filtered, in batches, retried, given up.

One batch at a time, so in the order of the stream. Only the waits between retries are shorter than Lambda's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from local.event_patterns import passes
from local.gateway.invocation import FunctionError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from local.event_sources import StreamSource
    from local.stream import Record

logger = logging.getLogger("local.stream")

_FIRST_WAIT = 0.02
_LONGEST_WAIT = 1.0


class Batches:
    """`given_up` holds the records that the template would send to the on-failure destination.

    `stopping` ends the retries: on one machine what was not told by then never is.
    """

    def __init__(
        self, source: StreamSource, invoke: Callable[[dict[str, Any]], Any], stopping: threading.Event
    ) -> None:
        self._source = source
        self._invoke = invoke
        self._stopping = stopping
        self.given_up: list[Record] = []

    def deliver(self, records: Sequence[Record]) -> None:
        """Returns when each record is done, filtered out or given up."""
        wanted = [record for record in records if passes(record, self._source.filters)]
        for start in range(0, len(wanted), self._source.batch_size):
            self._deliver(wanted[start : start + self._source.batch_size])

    def _deliver(self, batch: list[Record]) -> None:
        retries, wait = 0, _FIRST_WAIT
        while batch:
            done, raised = self._tried(batch)
            if done:
                batch, retries, wait = batch[done:], 0, _FIRST_WAIT
                continue
            if raised and self._source.bisects and len(batch) > 1:
                half = len(batch) // 2
                self._deliver(batch[:half])
                self._deliver(batch[half:])
                return
            if retries == self._source.retries:
                logger.error("%s: %d records given up after %d retries", self._source.function, len(batch), retries)
                self.given_up += batch
                return
            if self._stopping.wait(wait):
                return
            retries, wait = retries + 1, min(wait * 2, _LONGEST_WAIT)

    def _tried(self, batch: list[Record]) -> tuple[int, bool]:
        """How many of the batch, from its beginning, are done; and whether the function failed as a whole."""
        try:
            answer = self._invoke({"Records": batch})
        except FunctionError:
            logger.exception("Function failed")
            return 0, True
        if not self._source.reports_failures:
            return len(batch), False
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        failed = failed_items(answer, numbers)
        # A stream goes on from the first failure: what comes after it is handed over again.
        return min((numbers.index(number) for number in failed), default=len(batch)), False


def failed_items(answer: Any, all_items: Sequence[str]) -> set[str]:
    """What a function with ReportBatchItemFailures says that it failed at: everything, where it makes no sense.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    if not answer or not answer.get("batchItemFailures"):
        return set()
    try:
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    except (TypeError, KeyError):
        return set(all_items)
    return failed if failed.issubset(all_items) else set(all_items)
