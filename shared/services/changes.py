"""Publish changes of the table on the event bus."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.domain.changes import Change, change_event_for

if TYPE_CHECKING:
    from shared.messaging.event_bus import EventBus
    from shared.services.context import Telemetry


def publish(changes: Sequence[Change | None], event_bus: "EventBus", telemetry: "Telemetry") -> int | None:
    """Publish the changes' events, and return the position of the first change that failed; None if none did.

    Lambda reads the stream again from that position, so later events are published twice, with the same version.
    """
    events = [
        (position, event)
        for position, change in enumerate(changes)
        if change is not None and (event := change_event_for(change)) is not None
    ]
    failures = event_bus.put([event for _, event in events])
    for index, (_, event) in enumerate(events):
        if index not in failures:
            telemetry.count("ChangePublished", detailType=event.detail_type)
    if not failures:
        return None
    telemetry.count("ChangeNotPublished")
    telemetry.warn("changes not published", number=len(failures), error_codes=sorted(set(failures.values())))
    return events[min(failures)][0]
