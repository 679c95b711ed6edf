"""Codat's webhooks: who sent it, what it says, one effect."""

from collections.abc import Mapping
from dataclasses import replace

from shared.domain.errors import NotAuthentic, Unreadable
from shared.domain.events import ConnectionEvent
from shared.domain.instants import datetime_of
from shared.domain.timeline import Actor
from shared.services.ports import Call, Connections, Door, SigningSecrets, Unreadables
from shared.services.register import hear


def receive(
    body: bytes,
    headers: Mapping[str, str],
    *,
    call: Call,
    door: Door,
    secrets: SigningSecrets,
    connections: Connections,
    unreadables: Unreadables,
) -> None:
    """Returns when the webhook's effect is stored; header names in lower case.

    Raises NotAuthentic; SecretsUnavailable and StoreUnavailable, after which Codat sends it again.
    """
    try:
        webhook_id = _authenticate(body, headers, door, secrets)
    except NotAuthentic as refusal:
        call.telemetry.count("WebhookRefused", reason=refusal.reason)
        raise
    call.telemetry.note(webhook_id=webhook_id)
    try:
        event = door.read(body, call.now())
    except Unreadable as reason:
        unreadables.keep(webhook_id, body, str(reason), call.now())
        call.telemetry.count("WebhookUnreadable")
        call.telemetry.warn("authentic webhook kept unread", why=str(reason))
        return
    call.telemetry.note(event_id=event.event_id, event_type=event.event_type)
    if isinstance(event, ConnectionEvent):
        _store(event, replace(call, actor=Actor("webhook", webhook_id)), connections)
    else:
        call.telemetry.count("WebhookAcknowledged", eventType=event.event_type)


def _authenticate(body: bytes, headers: Mapping[str, str], door: Door, secrets: SigningSecrets) -> str:
    try:
        return door.verify(body, headers, secrets.webhook_secrets())
    except NotAuthentic as refusal:
        if refusal.reason not in {"mismatch", "no-secret"}:
            raise
        # The secret may have been rotated since it was read.
        return door.verify(body, headers, secrets.refresh_webhook_secrets())


def _store(event: ConnectionEvent, call: Call, connections: Connections) -> None:
    call.telemetry.note(company_id=event.company_id, connection_id=event.connection_id)
    owner, known = connections.find_with_owner(event.company_id, event.connection_id)
    customer_id = owner or event.customer_id
    if customer_id is None:
        call.telemetry.count("WebhookForeign")  # a Codat instance may serve other apps
        return
    call.telemetry.note(customer_id=customer_id)
    report = event.report()
    after = hear(
        report,
        customer_id=customer_id,
        happening=event.event_type,
        call=call,
        connections=connections,
        known=known,
    )
    fresh = after.heard_stamp == report.stamp and after != known
    call.telemetry.count("WebhookAccepted" if fresh else "WebhookStale", eventType=event.event_type)
    lag = call.now() - datetime_of(event.generated_at)
    call.telemetry.measure_seconds("WebhookLag", lag.total_seconds())
