"""Process the quarantined webhooks again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from cli.telemetry import NoTelemetry
from shared.codat.signature import WebhookVerifier
from shared.codat.webhook_events import company_in, parse_event
from shared.domain.timeline import CALLER, Actor
from shared.runtime import clock
from shared.services import webhooks
from shared.services.context import WebhookContext
from shared.services.platforms import PlatformCatalog
from shared.store.connections import Connections
from shared.store.customers import Customers
from shared.store.invitations import Invitations
from shared.store.platforms import Platforms
from shared.store.quarantine import Quarantine

if TYPE_CHECKING:
    from shared.store.table import Table


def replay(table: Table, timeline_days: int) -> None:
    """Store the webhooks that this version can parse, and list the others with the cause."""
    context = WebhookContext(
        actor=Actor(CALLER),
        telemetry=NoTelemetry(),
        now=clock.now,
        new_id=lambda: str(uuid4()),
        customers=Customers(table),
        connections=Connections(table, timeline_lifetime=timedelta(days=timeline_days)),
        invitations=Invitations(table),
        platforms=PlatformCatalog(Platforms(table), clock.now),
        verifier=WebhookVerifier(_NoSecrets()),
        parse_event=parse_event,
        company_in=company_in,
        quarantine=Quarantine(table),
    )
    stored, remaining = webhooks.replay(context)
    for webhook in stored:
        print(f"stored       {webhook.received_at}  {webhook.webhook_id}")
    for webhook in remaining:
        print(f"quarantined  {webhook.received_at}  {webhook.webhook_id}  {webhook.cause}")
    print(f"{len(stored)} stored, {len(remaining)} still in quarantine.")


class _NoSecrets:
    """Quarantined webhooks were verified when they arrived, so that a replay needs no signing secret."""

    def webhook_secrets(self) -> list[str]:
        return []

    refresh_webhook_secrets = webhook_secrets
