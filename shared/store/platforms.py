"""The list of platforms that are enabled in Codat."""

from dataclasses import asdict
from datetime import datetime

from shared.domain.platforms import Platform, PlatformList
from shared.domain.timestamps import timestamp_of
from shared.store import keys
from shared.store.table import Condition, Table, put


class Platforms:
    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> PlatformList | None:
        item = self._table.get(keys.PLATFORM_LIST)
        if item is None:
            return None
        return PlatformList(tuple(Platform(**platform) for platform in item["platforms"]), item["fetchedAt"])

    def save(self, fetched: PlatformList) -> None:
        """Store the list, unless a newer one is stored."""
        item = {
            **keys.attributes(keys.PLATFORM_LIST),
            "platforms": [asdict(platform) for platform in fetched.platforms],
            "fetchedAt": fetched.fetched_at,
        }
        is_newer = Condition("attribute_not_exists(pk) OR fetchedAt < :fetchedAt", {":fetchedAt": fetched.fetched_at})
        self._table.try_write(put(item, is_newer))

    def begin_refresh(self, now: datetime, last_before: datetime) -> bool:
        """Return whether this process may refresh the list: the last refresh must have begun before `last_before`."""
        # Without the condition, each process would send a request to Codat.
        is_due = Condition("attribute_not_exists(pk) OR beganAt < :before", {":before": timestamp_of(last_before)})
        item = {**keys.attributes(keys.PLATFORM_REFRESH), "beganAt": timestamp_of(now)}
        return self._table.try_write(put(item, is_due))
