"""Deliver stream records to a function as Lambda does: filtered, in batches and in order, with retries.

One difference: the waits between retries are shorter.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from local.gateway.invocation import FunctionError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from local.aws.event_sources import StreamSource
    from local.aws.stream import Record

logger = logging.getLogger("local.stream")

_MIN_WAIT = 0.02
_MAX_WAIT = 1.0


class BatchDelivery:
    """Deliver records to one function. `discarded` holds those whose retries ran out; `stopping` ends the retries."""

    def __init__(
        self, source: StreamSource, invoke: Callable[[dict[str, Any]], Any], stopping: threading.Event
    ) -> None:
        self._source = source
        self._invoke = invoke
        self._stopping = stopping
        self.discarded: list[Record] = []

    def deliver(self, records: Sequence[Record]) -> None:
        """Deliver the records, and block until each is processed, filtered out, discarded or lost."""
        matching = [record for record in records if self._source.matches(record)]
        for start in range(0, len(matching), self._source.batch_size):
            self._deliver(matching[start : start + self._source.batch_size])

    def _deliver(self, batch: list[Record]) -> None:
        retries, wait = 0, _MIN_WAIT
        while batch:
            delivered, has_raised = self._attempt(batch)
            if delivered:
                batch, retries, wait = batch[delivered:], 0, _MIN_WAIT
                continue
            if has_raised and self._source.bisects and len(batch) > 1:
                half = len(batch) // 2
                self._deliver(batch[:half])
                self._deliver(batch[half:])
                return
            if retries == self._source.retries:
                logger.error("%s: %d records discarded after %d retries", self._source.function, len(batch), retries)
                self.discarded += batch
                return
            if self._stopping.wait(wait):
                return
            retries, wait = retries + 1, min(wait * 2, _MAX_WAIT)

    def _attempt(self, batch: list[Record]) -> tuple[int, bool]:
        """Return how many records from the start were processed, and whether the function raised."""
        try:
            result = self._invoke({"Records": batch})
        except FunctionError:
            logger.exception("Function failed")
            return 0, True
        if not self._source.reports_failures:
            return len(batch), False
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        # Lambda retries a stream from the first failed record on.
        return min(map(numbers.index, failed_ids(result, numbers)), default=len(batch)), False


def failed_ids(result: Any, all_ids: Sequence[str]) -> set[str]:
    """Return the ids that the function reports as failed: none without a report, `all_ids` if the report is invalid.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    try:
        failed = {failure["itemIdentifier"] for failure in (result or {}).get("batchItemFailures") or []}
    except (AttributeError, TypeError, KeyError):
        return set(all_ids)
    return failed if failed.issubset(all_ids) else set(all_ids)
