"""Codat's documents: how they are parsed, and the error if they break the contract."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.codat import wire
from shared.codat.transport import Response
from shared.codat.webhook_events import parse_event
from shared.domain.errors import CodatInvalidResponse, UnparseableEvent
from shared.domain.events import InitialReadEvent
from shared.domain.initial_reads import InitialRead
from shared.domain.timestamps import timestamp
from tests.payloads import webhook

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def answer(document: Any) -> Response:
    return Response(200, json.dumps(document).encode(), httpx.Headers(), NOW, timedelta(0))


def test_the_error_for_a_tag_does_not_contain_its_key() -> None:
    """The key may be another app's text, of any length."""
    with pytest.raises(CodatInvalidResponse) as raised:
        answer({"id": "company", "tags": {"Dave" * 60_000: 1}}).read(wire.Company)
    assert str(raised.value) == "Codat returned an invalid response (tags: string_type)."


def test_the_error_for_many_fields_is_short() -> None:
    """It names five fields, without values."""
    with pytest.raises(CodatInvalidResponse) as raised:
        answer(
            {"id": "x" * 200, "name": 1, "description": 2, "redirect": "SECRET", "created": "SECRET", "tags": 7}
        ).read(wire.Company)
    assert len(str(raised.value)) < wire.MAX_SUMMARY + 50
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "failed"),
    [("Complete", False), ("NotSupported", False), (None, False), ("FetchError", True), ("Anything new", True)],
)
def test_a_data_type_failed_by_its_status(status: str | None, *, failed: bool) -> None:
    """A data type that the platform doesn't have is no failure."""
    assert wire.DataTypeRead.model_validate({"dataType": "bills", "status": status}).failed is failed


def initial_read(*data_types: dict[str, Any]) -> bytes:
    body = webhook("read.completed.initial")
    body["payload"]["dataTypes"] = list(data_types)
    return json.dumps(body).encode()


def test_an_initial_read_is_split_by_connection() -> None:
    """GIVEN data types of two connections, and another without connection THEN each connection has its own."""
    event = parse_event(
        initial_read(
            {"connectionId": "a", "dataType": "suppliers", "status": "Complete"},
            {"connectionId": "a", "dataType": "bills", "status": "FetchError"},
            {"connectionId": "b", "dataType": "taxRates", "status": "NotSupported"},
            {"connectionId": "b", "dataType": "bills", "status": "Complete"},
            {"dataType": "invoices", "status": "FetchError"},
        ),
        NOW,
    )
    assert isinstance(event, InitialReadEvent)
    completed_at, event_id = timestamp("2026-11-02T10:30:00Z"), "0d6c3a1e-8f3b-4a67-9a3c-0c9d8e7f6a5b"
    assert event.company_id == "0498e921-9b53-4396-a412-4f2f5983b0a2"
    assert event.reads == {
        "a": InitialRead(completed_at, event_id, ("suppliers",), (("bills", "FetchError"),)),
        "b": InitialRead(completed_at, event_id, ("bills", "taxRates"), ()),
    }


def test_a_webhook_from_the_future_is_not_parsed() -> None:
    """It would be newer than every event that follows."""
    body = webhook("read.completed.initial")
    body["generatedDate"] = (NOW + timedelta(minutes=6)).isoformat()
    with pytest.raises(UnparseableEvent, match="5 minutes ahead"):
        parse_event(json.dumps(body).encode(), NOW)
    assert parse_event(json.dumps(body).encode(), NOW + timedelta(minutes=1)).event_id == body["id"]
