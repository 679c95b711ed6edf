"""Parsing a webhook's body into an event."""

import json
from collections import defaultdict
from dataclasses import replace
from datetime import datetime

from pydantic import ValidationError

from shared.codat import wire
from shared.domain import events
from shared.domain.connections import Precedence, stamp
from shared.domain.errors import UnparseableEvent
from shared.domain.initial_reads import InitialRead
from shared.domain.timestamps import CLOCK_TOLERANCE, timestamp_of


def parse_event(body: bytes, now: datetime) -> events.Event:
    """Parse an authentic body; for types that are not handled, only the envelope.

    Raises UnparseableEvent if the body breaks Codat's contract or has a date in the future.
    """
    try:
        envelope = wire.Envelope.model_validate_json(body)
        if envelope.generated_date > timestamp_of(now + CLOCK_TOLERANCE):
            raise UnparseableEvent(f"generatedDate {envelope.generated_date} is more than 5 minutes ahead")
        return _event(envelope)
    except ValidationError as error:
        raise UnparseableEvent(wire.summarize(error)) from error


def company_in(body: bytes) -> str | None:
    """Return the company that an unparseable body is about, or None if that can't be read."""
    try:
        event = json.loads(body)
        payload = event["payload"]
        company = payload if event.get("eventType") == events.COMPANY_DELETED else payload["referenceCompany"]
        return wire.CompanyId.model_validate(company).id
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None


def _event(envelope: wire.Envelope) -> events.Event:
    header = envelope.id, envelope.event_type, envelope.generated_date
    if envelope.event_type in events.CONNECTION_EVENT_TYPES:
        change = wire.ConnectionPayload.model_validate(envelope.payload)
        stamped = stamp(envelope.generated_date, Precedence.EVENT, envelope.id)
        update = change.connection.update(change.reference_company.id, stamped)
        status = events.status_after(envelope.event_type, update.status)
        return events.ConnectionEvent(*header, replace(update, status=status))
    if envelope.event_type == events.COMPANY_DELETED:
        return events.CompanyDeletedEvent(*header, wire.CompanyId.model_validate(envelope.payload).id)
    if envelope.event_type == events.INITIAL_READ:
        read = wire.InitialReadPayload.model_validate(envelope.payload)
        return events.InitialReadEvent(*header, read.reference_company.id, _initial_reads(envelope, read.data_types))
    return events.Event(*header)


def _initial_reads(envelope: wire.Envelope, data_types: list[wire.DataTypeRead]) -> dict[str, InitialRead]:
    """Return the reads by connection. Data types without a connection id are left out."""
    by_connection: dict[str, list[wire.DataTypeRead]] = defaultdict(list)
    for data_type in data_types:
        if data_type.connection_id is not None:
            by_connection[data_type.connection_id].append(data_type)
    return {
        connection_id: InitialRead(
            completed_at=envelope.generated_date,
            event_id=envelope.id,
            complete=tuple(sorted({read.data_type for read in reads if not read.failed})),
            failed=tuple(sorted({read.data_type: read.status or "" for read in reads if read.failed}.items())),
        )
        for connection_id, reads in by_connection.items()
    }
