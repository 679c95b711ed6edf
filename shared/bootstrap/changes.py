"""For the function that publishes changes."""

from functools import cache

from shared.messaging.event_bus import EventBus
from shared.runtime.aws import client
from shared.runtime.settings import ChangesSettings, read
from shared.store.changes import change_event

__all__ = ["change_event", "event_bus"]


@cache
def event_bus() -> EventBus:
    return EventBus(client("events"), read(ChangesSettings).event_bus_name)
