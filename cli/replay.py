"""Process the quarantined webhooks again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from cli.telemetry import NoTelemetry
from shared.codat.webhook_events import parse_event
from shared.domain.timeline import CALLER, Actor
from shared.runtime import clock
from shared.services.context import Context
from shared.services.platform_catalog import PlatformCatalog
from shared.services.webhooks import apply, cause_of
from shared.store import keys
from shared.store.connections import INDEX, Connections
from shared.store.customers import Customers
from shared.store.invitations import Invitations
from shared.store.paging import ShardedQuery
from shared.store.platforms import Platforms
from shared.store.table import delete

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.store.attributes import Item
    from shared.store.table import Table


def replay(table: Table, timeline_days: int) -> None:
    """Store the webhooks that this version can parse, and list the others with the cause.

    Their signature was verified on arrival. An outdated event only adds a timeline entry. An error, even a bug, keeps
    its own webhook in quarantine and does not stop the others.
    """
    context = Context(
        actor=Actor(CALLER),
        telemetry=NoTelemetry(),
        now=clock.now,
        new_id=lambda: str(uuid4()),
        customers=Customers(table),
        connections=Connections(table, timeline_lifetime=timedelta(days=timeline_days)),
        invitations=Invitations(table),
        platforms=PlatformCatalog(Platforms(table), clock.now),
    )
    stored, remaining = [], []
    for item in _quarantined(table):
        webhook = f"{item['receivedAt']}  {item['webhookId']}"
        try:
            apply(parse_event(item["body"], clock.now()), item["webhookId"], context)
            table.write(delete((item["pk"], item["sk"])))
        except Exception as error:  # noqa: BLE001  # reported as the cause
            remaining.append(f"quarantined  {webhook}  {cause_of(error)}")
        else:
            stored.append(f"stored       {webhook}")
    print(*stored, *remaining, f"{len(stored)} stored, {len(remaining)} still in quarantine.", sep="\n")


def _quarantined(table: Table) -> Iterator[Item]:
    """Yield the quarantined webhooks, oldest first. Each is read by itself, because a body can have 256 KiB."""
    for entry in list(ShardedQuery(table, INDEX, "statusShard", "statusKey", [keys.QUARANTINE]).all()):
        item = table.get((entry["pk"], entry["sk"]))
        if item is not None:  # the index is eventually consistent
            yield item
