"""For the function that reconciles."""

from datetime import timedelta

from shared.bootstrap import codat
from shared.domain.timeline import RECONCILE, Actor
from shared.runtime.clock import LambdaContext
from shared.runtime.settings import ReconcileSettings, read
from shared.services.reconcile.context import ReconcileContext


def context(lambda_context: LambdaContext) -> ReconcileContext:
    own = read(ReconcileSettings)
    return ReconcileContext(
        **codat.stores_and_codat(Actor(RECONCILE), lambda_context),
        adopt_orphans=own.adopt_orphans,
        abandoned_after=timedelta(days=own.abandoned_after_days),
    )
