"""One message of a reconcile: a batch of our customers, or a page of Codat's companies."""

import json
from collections import Counter
from typing import Any

from shared import bootstrap
from shared.domain.errors import CodatCustomersError, PartlyReconciled
from shared.runtime.clock import LambdaContext
from shared.runtime.observability import Telemetry, logger
from shared.services.reconcile import work_on


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Fails the messages that could not be done, each alone; `found` is for whoever runs it by hand."""
    logger.thread_safe_clear_keys()
    logger.thread_safe_append_keys(function_request_id=context.aws_request_id)
    world = bootstrap.world(context)
    found: Counter[str] = Counter()
    failed: list[dict[str, str]] = []
    for record in event["Records"]:
        try:
            found += work_on(json.loads(record["body"]), world)
        except CodatCustomersError as error:
            if isinstance(error, PartlyReconciled):
                found.update(error.found)
            logger.warning("batch put back", extra={"message_id": record["messageId"], "why": str(error)})
            failed.append({"itemIdentifier": record["messageId"]})
    Telemetry().measure("DriftFound", found["drift"])
    logger.info("reconciled", extra={"found": dict(found), "failed": len(failed)})
    return {"batchItemFailures": failed, "found": dict(found)}
