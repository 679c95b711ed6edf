"""Publish changes of the table on the event bus."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.domain.changes import ChangeEvent
    from shared.domain.telemetry import Telemetry
    from shared.messaging.event_bus import EventBus


def publish(events: Sequence["ChangeEvent | None"], event_bus: "EventBus", telemetry: "Telemetry") -> int | None:
    """Publish the events, and return the position of the first one that failed; None if none did.

    Lambda reads the stream again from that position, so later events are published twice, with the same version.
    """
    visible = [(position, event) for position, event in enumerate(events) if event is not None]
    failures = event_bus.put([event for _, event in visible])
    for index, (_, event) in enumerate(visible):
        if index not in failures:
            telemetry.count("ChangePublished", detailType=event.detail_type)
    if not failures:
        return None
    telemetry.count("ChangeNotPublished")
    telemetry.warn("changes not published", number=len(failures), error_codes=sorted(set(failures.values())))
    return visible[min(failures)][0]
