"""Process the messages of a reconcile: batches of our customers, and pages of Codat's companies."""

import json
from collections import Counter
from functools import partial
from typing import Any

from shared.bootstrap import codat, reconcile
from shared.runtime.clock import LambdaContext
from shared.runtime.log_ids import about_customers
from shared.runtime.observability import logger, observed
from shared.runtime.settings import ReconcileSettings, read
from shared.services.reconcile import process


@observed
def handler(event: dict[str, Any], lambda_context: LambdaContext) -> dict[str, Any]:
    """Report each failed message, so that only these are retried. `found` is for manual runs."""
    context = reconcile.context(lambda_context)
    counts: Counter[str] = Counter()
    failed: list[dict[str, str]] = []
    for record in event["Records"]:
        message = json.loads(record["body"])
        about_customers(message.get("customerIds", ()))
        results = process(message, context)
        counts += results.counts
        if results.errors:
            cause = {"cause": str(results.errors[0]), "errors": len(results.errors)}
            logger.warning("batch put back", extra={"message_id": record["messageId"], **cause})
            failed.append({"itemIdentifier": record["messageId"]})
    context.telemetry.measure("DriftFound", counts["drift"])
    logger.info("reconciled", extra={"found": dict(counts), "failed": len(failed)})
    return {"batchItemFailures": failed, "found": dict(counts)}


codat.initialize(partial(read, ReconcileSettings))
