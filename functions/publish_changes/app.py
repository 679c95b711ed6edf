"""Publish an event for each change in the table's stream."""

from typing import Any

from shared.bootstrap import changes, init_phase
from shared.runtime.clock import LambdaContext
from shared.runtime.observability import Telemetry, logger, observed
from shared.services.changes import publish


@observed
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    records = event["Records"]
    failed = publish([changes.change_event(record) for record in records], changes.event_bus(), Telemetry())
    logger.info("published", extra={"records": len(records), "failed_from": failed})
    if failed is None:
        return {"batchItemFailures": []}
    # Lambda reads the stream again from this record.
    return {"batchItemFailures": [{"itemIdentifier": records[failed]["dynamodb"]["SequenceNumber"]}]}


init_phase.initialize(changes.event_bus)
