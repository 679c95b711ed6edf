"""Settings from the environment."""

from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest
from pydantic import BaseModel

from shared.runtime.settings import (
    ChangesSettings,
    MisconfiguredError,
    PlanSettings,
    ReconcileSettings,
    Settings,
    WebhookSettings,
    read,
)

ENVIRONMENT = {
    "TABLE_NAME": "table",
    "CODAT_SECRET_ID": "secret",
    "CODAT_BASE_URL": "https://api.codat.io",
    "CODAT_TAG_KEY": "uid",
    "PLATFORM_KEYS": "qhyg, gbol,",
    "SOURCE_TYPES": "Accounting",
    "ALLOW_SANDBOX": "false",
    "TIMELINE_DAYS": "90",
    "WEBHOOK_SOURCE_RANGES": "192.0.2.1/32, 198.51.100.7/24",
    "EVENT_BUS_NAME": "bus",
    "RECONCILE_QUEUE_URL": "https://sqs/queue",
    "ADOPT_ORPHANS": "true",
    "ABANDONED_AFTER_DAYS": "7",
    "AWS_SECRET_ACCESS_KEY": "ignored",
}


@pytest.fixture(autouse=True)
def environment() -> Iterator[pytest.MonkeyPatch]:
    """Provide a complete environment."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in ENVIRONMENT.items():
            patched.setenv(name, value)
        read.cache_clear()
        yield patched
    # Other tests of this process read their own environment.
    read.cache_clear()


def test_settings_are_typed() -> None:
    settings = read(Settings)
    assert settings.table_name == "table"
    assert settings.platform_keys == ("qhyg", "gbol")
    assert settings.source_types == ("Accounting",)
    assert settings.allow_sandbox is False
    assert settings.timeline_days == 90
    ranges = read(WebhookSettings).webhook_source_ranges
    assert ranges == (IPv4Network("192.0.2.1/32"), IPv4Network("198.51.100.0/24"))
    assert read(ChangesSettings).event_bus_name == "bus"
    assert read(PlanSettings).reconcile_queue_url == "https://sqs/queue"
    assert read(ReconcileSettings).model_dump() == {"adopt_orphans": True, "abandoned_after_days": 7}


def test_settings_are_read_once(environment: pytest.MonkeyPatch) -> None:
    settings = read(Settings)
    environment.setenv("TABLE_NAME", "another")
    assert read(Settings) is settings


@pytest.mark.parametrize("model", [Settings, WebhookSettings, ChangesSettings, PlanSettings, ReconcileSettings])
def test_no_setting_has_a_default(environment: pytest.MonkeyPatch, model: type[BaseModel]) -> None:
    for field in model.model_fields:
        name = field.upper()
        environment.delenv(name)
        with pytest.raises(MisconfiguredError, match=f"^environment: {name}: Field required$"):
            read(model)
        environment.setenv(name, ENVIRONMENT[name])


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (Settings, "TABLE_NAME", ""),
        (Settings, "CODAT_BASE_URL", "api.codat.io"),
        (Settings, "CODAT_TAG_KEY", "k" * 28),
        (Settings, "SOURCE_TYPES", " , "),
        (Settings, "ALLOW_SANDBOX", "perhaps"),
        (Settings, "TIMELINE_DAYS", "0"),
        (Settings, "TIMELINE_DAYS", "many"),
        (WebhookSettings, "WEBHOOK_SOURCE_RANGES", "192.0.2.1/33"),
        (WebhookSettings, "WEBHOOK_SOURCE_RANGES", "192.0.2.1/32,codat.io"),
        (ChangesSettings, "EVENT_BUS_NAME", ""),
        (PlanSettings, "RECONCILE_QUEUE_URL", ""),
        (ReconcileSettings, "ABANDONED_AFTER_DAYS", "-1"),
    ],
)
def test_an_invalid_setting_is_named(
    environment: pytest.MonkeyPatch, model: type[BaseModel], name: str, value: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(MisconfiguredError, match=f"^environment: {name}: "):
        read(model)
