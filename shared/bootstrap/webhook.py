"""For the function that receives Codat's webhooks."""

from datetime import timedelta

from shared.bootstrap import init_phase
from shared.bootstrap.stores import stores, table
from shared.codat.signature import WebhookVerifier
from shared.codat.webhook_events import company_in, parse_event
from shared.domain.timeline import CALLER, Actor
from shared.http.router import Request
from shared.runtime import clock
from shared.runtime.aws import client
from shared.runtime.secrets import secrets
from shared.runtime.settings import WebhookSettings, read
from shared.services.context import WebhookContext
from shared.store.quarantine import Quarantine

WEBHOOK_SECONDS = 11.0
"""Codat waits 15 s before it retries a webhook. A last request to DynamoDB takes up to 3 s of them."""


def initialize() -> None:
    init_phase.initialize(lambda: client("dynamodb"), lambda: read(WebhookSettings), needs_secret=True)


def context(request: Request) -> WebhookContext:
    """Build a context that ends before Codat stops waiting, or before Lambda ends the function if that is earlier."""
    deadline = clock.now() + timedelta(seconds=WEBHOOK_SECONDS)

    def seconds_left() -> float:
        return min((deadline - clock.now()).total_seconds(), clock.seconds_left(request.context))

    return WebhookContext(
        **stores(Actor(CALLER), seconds_left),
        verifier=WebhookVerifier(secrets().webhook_secrets, secrets().refresh_webhook_secrets),
        parse_event=parse_event,
        company_in=company_in,
        quarantine=Quarantine(table(seconds_left)),
    )
