"""Errors and their tracebacks contain no secret and no personal data."""

import traceback
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel, ValidationError

from shared.codat import webhook_events, wire
from shared.domain.errors import UnparseableEvent
from shared.http.requests import NewCustomer
from shared.runtime.settings import ChangesSettings, MisconfiguredError, PlanSettings, ReconcileSettings, Settings, read


@pytest.mark.parametrize("model", [Settings, ChangesSettings, PlanSettings, ReconcileSettings])
def test_a_missing_setting_is_named_and_no_other_is_shown(
    monkeypatch: pytest.MonkeyPatch, model: type[BaseModel]
) -> None:
    """The environment holds AWS credentials."""
    for field in model.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setenv("ZZZ_AWS_SECRET_ACCESS_KEY", "SECRETTAIL")
    read.cache_clear()
    with pytest.raises(MisconfiguredError) as raised:
        read(model)
    shown = "".join(traceback.format_exception(raised.value))
    assert next(iter(model.model_fields)).upper() in shown
    assert "SECRETTAIL" not in shown
    assert "environ(" not in shown


def test_a_webhook_that_cannot_be_parsed_is_not_quoted() -> None:
    """Its link URL is a credential."""
    body = b'{"id": 7, "eventType": "connection.created", "linkUrl": "https://link/?otp=SECRET"}'
    with pytest.raises(UnparseableEvent) as raised:
        webhook_events.parse_event(body, datetime.now(UTC))
    assert "SECRET" not in "".join(traceback.format_exception(raised.value))


def test_a_document_of_codat_is_not_shown() -> None:
    """Its link URL is a credential, and a log line may contain its `repr`."""
    page = wire.Page.model_validate({"results": [{"linkUrl": "https://link/?otp=SECRET"}], "totalResults": 1})
    assert repr(page) == "Page()"


def test_a_body_that_is_not_valid_is_not_quoted() -> None:
    """It contains personal data."""
    body = {"customerId": "Dave Smith"}
    with pytest.raises(ValidationError) as raised:
        NewCustomer.model_validate(body)
    assert "Smith" not in "".join(traceback.format_exception(raised.value))
