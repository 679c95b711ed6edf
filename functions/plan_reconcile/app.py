"""On a schedule: queue the messages of a reconcile."""

from typing import Any

from shared.bootstrap import codat, plan as bootstrap
from shared.runtime.clock import LambdaContext
from shared.runtime.observability import logger, observed
from shared.services.reconcile import plan


@observed
def handler(event: dict[str, Any], lambda_context: LambdaContext) -> dict[str, int]:
    """Queue a reconcile. The event `{"adoptOurs": true}` also adopts orphans that this service created."""
    context = bootstrap.context(lambda_context)
    queued = plan(bootstrap.queue(), context, adopt_ours=event.get("adoptOurs") is True)
    context.telemetry.measure("ReconcileMessages", queued)
    logger.info("planned", extra={"messages": queued})
    return {"messages": queued}


codat.initialize(bootstrap.queue)
