"""A webhook's body as an event of the domain."""

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from shared.codat import wire
from shared.domain.errors import Unreadable
from shared.domain.events import (
    COMPANY_DELETED,
    CONNECTION_EVENT_TYPES,
    INITIAL_READ,
    CompanyDeletedEvent,
    ConnectionEvent,
    Event,
    InitialReadEvent,
    refuse_future,
)
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
        return _told(event, envelope.payload, tag_key)
    except ValidationError as error:
        raise Unreadable(wire.what_was_wrong(error)) from error


def _told(event: Event, payload: Any, tag_key: str) -> Event:
    envelope: Any = {"event_id": event.event_id, "event_type": event.event_type, "generated_at": event.generated_at}
    if event.event_type in CONNECTION_EVENT_TYPES:
        return _connection_event(event, wire.ConnectionPayload.model_validate(payload), tag_key)
    if event.event_type == COMPANY_DELETED:
        company = wire.ReferenceCompany.model_validate(payload)
        return CompanyDeletedEvent(**envelope, company_id=company.id, uid=(company.tags or {}).get(tag_key))
    if event.event_type == INITIAL_READ:
        read = wire.InitialReadPayload.model_validate(payload)
        return InitialReadEvent(
            **envelope,
            company_id=read.reference_company.id,
            uid=(read.reference_company.tags or {}).get(tag_key),
            connection_ids=tuple(dict.fromkeys(one.connection_id for one in read.data_types)),
        )
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
