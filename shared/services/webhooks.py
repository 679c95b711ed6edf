"""Verify and parse Codat's webhooks, and store their effect."""

from collections.abc import Mapping
from dataclasses import replace

from shared.domain.customers import Ownership
from shared.domain.errors import CodatCustomersError, CompanyGone, StoreUnavailable, UnparseableEvent
from shared.domain.events import CompanyDeletedEvent, ConnectionEvent, Event, InitialReadEvent
from shared.domain.timeline import WEBHOOK, Actor
from shared.domain.timestamps import datetime_of
from shared.services.connection_state import record_initial_read, record_update
from shared.services.context import Context, WebhookContext
from shared.services.deletion import close_company


def receive(body: bytes, headers: Mapping[str, str], context: WebhookContext) -> None:
    """Return when the webhook's effect is stored. Header names are in lower case.

    Raises NotAuthentic, and SecretsUnavailable or StoreUnavailable, after which Codat retries. Any other exception is a
    bug. It is raised after the webhook was quarantined, because Codat stops retrying after a day.
    """
    webhook_id = context.verifier.verify(body, headers)
    context.telemetry.note(webhook_id=webhook_id)

    try:
        apply(context.parse_event(body, context.now()), webhook_id, context)
    except Exception as error:
        if isinstance(error, UnparseableEvent) or not isinstance(error, CodatCustomersError):
            _quarantine(body, webhook_id, cause_of(error), context)
        if not isinstance(error, UnparseableEvent):
            raise


def _quarantine(body: bytes, webhook_id: str, cause: str, context: WebhookContext) -> None:
    """Store the body, unless it is about a company without a customer: another app's, or a deleted one."""
    if context.quarantine.add(webhook_id, body, cause, context.company_in(body), context.now()):
        context.telemetry.count("WebhookUnreadable")
        context.telemetry.warn("authentic webhook quarantined", cause=cause)
    else:
        context.telemetry.count("WebhookForeign")


def cause_of(error: Exception) -> str:
    """Return the message; only the type of a bug, whose message may quote the body."""
    return str(error) if isinstance(error, CodatCustomersError) else f"failed with {type(error).__name__}"


def apply(event: Event, webhook_id: str, context: Context) -> None:
    """Store the effect of an authentic event. Raises StoreUnavailable."""
    context.telemetry.note(event_id=event.event_id, event_type=event.event_type)
    context = replace(context, actor=Actor(WEBHOOK, webhook_id))
    try:
        match event:
            case ConnectionEvent():
                _apply_connection_event(event, context)
            case InitialReadEvent():
                _apply_initial_read(event, context)
            case CompanyDeletedEvent():
                _apply_company_deleted(event, context)
            case _:
                context.telemetry.count("WebhookAcknowledged", eventType=event.event_type)
    except CompanyGone:
        context.telemetry.count("WebhookLate")


def _apply_connection_event(event: ConnectionEvent, context: Context) -> None:
    update = event.update
    context.telemetry.note(company_id=update.company_id, connection_id=update.connection_id)
    ownership, stored = context.connections.find_with_owner(update.company_id, update.connection_id)
    customer_id = _owner(ownership, context)
    if customer_id is None:
        return
    after = record_update(update, context, customer_id=customer_id, event_type=event.event_type, stored=stored)
    if after == stored:
        context.telemetry.count("WebhookStale", eventType=event.event_type)
        return
    context.telemetry.count("WebhookAccepted", eventType=event.event_type)
    context.telemetry.measure_seconds("WebhookLag", (context.now() - datetime_of(event.generated_at)).total_seconds())


def _apply_initial_read(event: InitialReadEvent, context: Context) -> None:
    context.telemetry.note(company_id=event.company_id)
    for connection_id in event.reads:
        ownership, stored = context.connections.find_with_owner(event.company_id, connection_id)
        customer_id = _owner(ownership, context)
        if customer_id is None:
            return
        record_initial_read(event, connection_id, context, customer_id=customer_id, stored=stored)
    context.telemetry.count("WebhookAccepted", eventType=event.event_type)


def _apply_company_deleted(event: CompanyDeletedEvent, context: Context) -> None:
    context.telemetry.note(company_id=event.company_id)
    ownership = context.customers.ownership(event.company_id)
    # An ended pointer that still contains its customer belongs to an unfinished deletion, which this event finishes.
    is_being_deleted = ownership.has_ended and ownership.customer_id is not None
    customer_id = ownership.customer_id if is_being_deleted else _owner(ownership, context)
    if customer_id is not None:
        close_company(event.company_id, customer_id, context)
        context.telemetry.count("WebhookAccepted", eventType=event.event_type)


def _owner(ownership: Ownership, context: Context) -> str | None:
    """Return the company's customer by its pointer; None if there is none, or the company has ended.

    Tags prove nothing: they may be another app's.
    """
    if ownership.is_restoring:
        raise StoreUnavailable("The company is being restored from a backup.")
    if ownership.has_ended:
        context.telemetry.count("WebhookLate")
    elif ownership.owner is None:
        context.telemetry.count("WebhookForeign")
    else:
        context.telemetry.note(customer_id=ownership.owner)
    return ownership.owner
