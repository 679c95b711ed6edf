"""A webhook's body as an event of the domain."""

from collections import defaultdict
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from shared.codat import wire
from shared.domain.errors import UnparseableEvent
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
from shared.domain.initial_reads import InitialRead
from shared.domain.timestamps import Timestamp


def parse_event(body: bytes, now: datetime) -> Event:
    """Parse an authentic body.

    Raises UnparseableEvent if it breaks Codat's contract, or is dated in the future. Of types that change nothing here
    only the envelope is parsed.
    """
    try:
        envelope = wire.Envelope.model_validate_json(body)
        event = Event(envelope.id, envelope.event_type, Timestamp(envelope.generated_date))
        refuse_future(event.generated_at, now)
        return _with_payload(event, envelope.payload)
    except ValidationError as error:
        raise UnparseableEvent(wire.summarize(error)) from error


def _with_payload(event: Event, payload: Any) -> Event:
    envelope: Any = {"event_id": event.event_id, "event_type": event.event_type, "generated_at": event.generated_at}
    if event.event_type in CONNECTION_EVENT_TYPES:
        parsed = wire.ConnectionPayload.model_validate(payload)
        connection = parsed.connection
        return ConnectionEvent(
            **envelope,
            company_id=parsed.reference_company.id,
            connection_id=connection.id,
            source=connection.source,
            created_at=connection.created_at,
            payload_status=connection.domain_status,
            error=connection.error,
            last_sync=connection.synced_at,
        )
    if event.event_type == COMPANY_DELETED:
        return CompanyDeletedEvent(**envelope, company_id=wire.ReferenceCompany.model_validate(payload).id)
    if event.event_type == INITIAL_READ:
        read = wire.InitialReadPayload.model_validate(payload)
        reads = _initial_reads(event, read.data_types)
        return InitialReadEvent(**envelope, company_id=read.reference_company.id, reads=reads)
    return event


def _initial_reads(event: Event, data_types: list[wire.DataTypeRead]) -> dict[str, InitialRead]:
    """Return the reads by connection. A data type without a connection id says nothing of any."""
    by_connection: dict[str, list[wire.DataTypeRead]] = defaultdict(list)
    for data_type in data_types:
        if data_type.connection_id is not None:
            by_connection[data_type.connection_id].append(data_type)
    return {
        connection_id: InitialRead(
            completed_at=event.generated_at,
            event_id=event.event_id,
            complete=tuple(sorted({read.data_type for read in reads if not read.failed})),
            failed=tuple(sorted({read.data_type: read.status or "" for read in reads if read.failed}.items())),
        )
        for connection_id, reads in by_connection.items()
    }
