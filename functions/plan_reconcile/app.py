"""On a schedule: queues the work of a reconcile."""

from typing import Any

from shared import bootstrap
from shared.runtime.clock import LambdaContext
from shared.runtime.observability import Telemetry, logger
from shared.services.reconcile import plan


def handler(_: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    logger.thread_safe_clear_keys()
    logger.thread_safe_append_keys(function_request_id=context.aws_request_id)
    queued = plan(customers=bootstrap.customers(), codat=bootstrap.codat(context), queue=bootstrap.queue())
    Telemetry().measure("ReconcileMessages", queued)
    logger.info("planned", extra={"messages": queued})
    return {"messages": queued}
