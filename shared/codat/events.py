"""A webhook's body as an event of the domain."""

from datetime import datetime

from pydantic import ValidationError

from shared.codat import wire
from shared.domain.errors import Unreadable
from shared.domain.events import CONNECTION_EVENT_TYPES, ConnectionEvent, Event, refuse_future
from shared.domain.instants import Instant


def read(body: bytes, tag_key: str, now: datetime) -> Event:
    """The event that an authentic body tells; `tag_key` is the company tag that holds our customer ids.

    Raises Unreadable where the body isn't what Codat's contract says, or claims to come from the future. Types that
    change nothing here need no more than an envelope.
    """
    try:
        envelope = wire.Envelope.model_validate_json(body)
        event = Event(envelope.id, envelope.event_type, Instant(envelope.generated_date))
        refuse_future(event.generated_at, now)
        if event.event_type in CONNECTION_EVENT_TYPES:
            return _connection_event(event, wire.ConnectionPayload.model_validate(envelope.payload), tag_key)
    except ValidationError as error:
        raise Unreadable(_what_was_wrong(error)) from error
    return event


def _connection_event(event: Event, payload: wire.ConnectionPayload, tag_key: str) -> ConnectionEvent:
    connection = payload.connection
    return ConnectionEvent(
        event_id=event.event_id,
        event_type=event.event_type,
        generated_at=event.generated_at,
        company_id=payload.reference_company.id,
        uid=(payload.reference_company.tags or {}).get(tag_key),
        connection_id=connection.id,
        source=connection.source,
        created_at=connection.created_at,
        payload_status=connection.known_status,
        reason=connection.reason,
        last_sync=connection.synced_at,
    )


def _what_was_wrong(error: ValidationError) -> str:
    """Where and why, never what: the body may hold personal data."""
    lines = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, line['loc'])) or 'body'}: {line['type']}" for line in lines[:5])
