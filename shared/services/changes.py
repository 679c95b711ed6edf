"""Telling the app: the table's stream onto the bus."""

from collections.abc import Sequence

from shared.domain.changes import Change, announcement
from shared.services.ports import Bus, Telemetry


def publish(changes: Sequence[Change | None], *, bus: Bus, telemetry: Telemetry) -> int | None:
    """Puts an announcement for each real change; the position of the first that was not taken, None where all were.

    From that one on the stream is read again: what was taken already is put twice, and its version says so.
    """
    told = [(position, announcement(change)) for position, change in enumerate(changes) if change is not None]
    announcements = [(position, one) for position, one in told if one is not None]
    refused = bus.put([one for _, one in announcements])
    for index, (_, one) in enumerate(announcements):
        if index not in refused:
            telemetry.count("ChangePublished", detailType=one.detail_type)
    if refused:
        telemetry.count("ChangeNotPublished")
        telemetry.warn("changes not published", number=len(refused), error_codes=sorted(set(refused.values())))
        return announcements[min(refused)][0]
    return None
