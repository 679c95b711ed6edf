"""For the function that plans a reconcile."""

from functools import cache

from shared.bootstrap import codat
from shared.domain.timeline import RECONCILE, Actor
from shared.messaging.queue import Queue
from shared.runtime.aws import client
from shared.runtime.clock import LambdaContext
from shared.runtime.settings import PlanSettings, read
from shared.services.context import CodatContext


def context(lambda_context: LambdaContext) -> CodatContext:
    return CodatContext(**codat.stores_and_codat(Actor(RECONCILE), lambda_context))


@cache
def queue() -> Queue:
    return Queue(client("sqs"), read(PlanSettings).reconcile_queue_url)
