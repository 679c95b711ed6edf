"""Codat's webhooks: who sent it, what it says, one effect."""

from collections.abc import Mapping
from dataclasses import replace

from shared.domain.customers import Ownership, customer_of
from shared.domain.errors import CodatCustomersError, CompanyGone, NotAuthentic, Unreadable
from shared.domain.events import CompanyDeletedEvent, ConnectionEvent, Event, InitialReadEvent, KeptWebhook
from shared.domain.instants import datetime_of
from shared.domain.timeline import WEBHOOK, Actor
from shared.services.deletion import end_company
from shared.services.ports import Call, Connections, Customers, Door, SigningSecrets, Unreadables
from shared.services.register import hear, hear_initial_read


def receive(
    body: bytes,
    headers: Mapping[str, str],
    *,
    call: Call,
    door: Door,
    secrets: SigningSecrets,
    customers: Customers,
    connections: Connections,
    unreadables: Unreadables,
) -> None:
    """Returns when the webhook's effect is stored; header names in lower case.

    Raises NotAuthentic; SecretsUnavailable and StoreUnavailable, after which Codat sends it again. What a bug raises
    passes too, with the webhook kept: Codat stops sending after a day, and the bug may live longer.
    """
    try:
        webhook_id = _authenticate(body, headers, door, secrets)
    except NotAuthentic as refusal:
        call.telemetry.count("WebhookRefused", reason=refusal.reason)
        raise
    call.telemetry.note(webhook_id=webhook_id)

    def keep(why: str) -> None:
        unreadables.keep(webhook_id, body, why, call.now())
        call.telemetry.count("WebhookUnreadable")
        call.telemetry.warn("authentic webhook kept unread", why=why)

    try:
        event = door.read(body, call.now())
        take_effect(event, webhook_id, call=call, customers=customers, connections=connections)
    except Unreadable as reason:
        keep(str(reason))
    except CodatCustomersError:
        raise
    except Exception as bug:
        keep(_named(bug))
        raise


def replay(
    *, call: Call, door: Door, customers: Customers, connections: Connections, unreadables: Unreadables
) -> tuple[list[KeptWebhook], list[KeptWebhook]]:
    """Puts what was kept unread through again: those understood now, and stored, and those that stay.

    They proved authentic when they came; an event that is old by now goes into the timeline, as any late one does.
    What fails for one, a bug included, does not keep the others from being stored.
    """
    understood, left = [], []
    for kept in unreadables.all(call.now()):
        try:
            event = door.read(kept.body, call.now())
            take_effect(event, kept.webhook_id, call=call, customers=customers, connections=connections)
            unreadables.forget(kept)
        except CodatCustomersError as reason:
            left.append(replace(kept, why=str(reason)))
        except Exception as bug:  # noqa: BLE001  # it is told as what keeps this one unread
            left.append(replace(kept, why=_named(bug)))
        else:
            understood.append(kept)
    return understood, left


def _named(bug: Exception) -> str:
    """Its kind alone: its words may quote the body."""
    return f"failed with {type(bug).__name__}"


def take_effect(event: Event, webhook_id: str, *, call: Call, customers: Customers, connections: Connections) -> None:
    """Stores what an authentic event says. Raises StoreUnavailable."""
    call.telemetry.note(event_id=event.event_id, event_type=event.event_type)
    call = replace(call, actor=Actor(WEBHOOK, webhook_id))
    match event:
        case ConnectionEvent():
            _hear(event, call, connections)
        case InitialReadEvent():
            _read_initially(event, call, customers, connections)
        case CompanyDeletedEvent():
            _end(event, call, customers, connections)
        case _:
            call.telemetry.count("WebhookAcknowledged", eventType=event.event_type)


def _authenticate(body: bytes, headers: Mapping[str, str], door: Door, secrets: SigningSecrets) -> str:
    try:
        return door.verify(body, headers, secrets.webhook_secrets())
    except NotAuthentic as refusal:
        if refusal.reason not in {"mismatch", "no-secret"}:
            raise
        # The secret may have been rotated since it was read.
        return door.verify(body, headers, secrets.refresh_webhook_secrets())


def _hear(event: ConnectionEvent, call: Call, connections: Connections) -> None:
    call.telemetry.note(company_id=event.company_id, connection_id=event.connection_id)
    ownership, known = connections.find_with_owner(event.company_id, event.connection_id)
    customer_id = _ours(event.uid, ownership, call)
    if customer_id is None:
        return
    report = event.report()
    try:
        after = hear(
            report,
            customer_id=customer_id,
            happening=event.event_type,
            call=call,
            connections=connections,
            known=known,
        )
    except CompanyGone:
        call.telemetry.count("WebhookLate")
        return
    fresh = report.stamp in {after.heard_stamp, after.status_stamp, after.reason_stamp} and after != known
    if not fresh:
        call.telemetry.count("WebhookStale", eventType=event.event_type)
        return
    call.telemetry.count("WebhookAccepted", eventType=event.event_type)
    lag = call.now() - datetime_of(event.generated_at)
    call.telemetry.measure_seconds("WebhookLag", lag.total_seconds())


def _read_initially(event: InitialReadEvent, call: Call, customers: Customers, connections: Connections) -> None:
    call.telemetry.note(company_id=event.company_id)
    customer_id = _ours(event.uid, customers.ownership(event.company_id), call)
    if customer_id is None:
        return
    try:
        for connection_id in event.connection_ids:
            hear_initial_read(event, connection_id, customer_id, call=call, connections=connections)
    except CompanyGone:
        call.telemetry.count("WebhookLate")
        return
    call.telemetry.count("WebhookAccepted", eventType=event.event_type)


def _end(event: CompanyDeletedEvent, call: Call, customers: Customers, connections: Connections) -> None:
    call.telemetry.note(company_id=event.company_id)
    ownership = customers.ownership(event.company_id)
    customer_id = ownership.customer_id or customer_of(event.uid)
    if customer_id is None:
        # Another app's, or one of ours that has been forgotten already.
        call.telemetry.count("WebhookLate" if ownership.ended else "WebhookForeign")
        return
    call.telemetry.note(customer_id=customer_id)
    end_company(event.company_id, customer_id, call=call, customers=customers, connections=connections)
    call.telemetry.count("WebhookAccepted", eventType=event.event_type)


def _ours(uid: str | None, ownership: Ownership, call: Call) -> str | None:
    """The customer whose company it is; None for another app's, since a Codat instance may serve several, and for one
    that has ended.
    """
    if ownership.ended:
        call.telemetry.count("WebhookLate")
        return None
    customer_id = ownership.customer_id or customer_of(uid)
    if customer_id is None:
        call.telemetry.count("WebhookForeign")
        return None
    call.telemetry.note(customer_id=customer_id)
    return customer_id
