"""The stored list of platforms, and its copy in this process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.domain.platforms import PlatformFilter, PlatformList

if TYPE_CHECKING:
    from shared.store.platforms import Platforms

MAX_AGE_IN_PROCESS = timedelta(minutes=5)
REFRESH_INTERVAL = timedelta(minutes=1)


@dataclass(slots=True)
class PlatformCache:
    """The list in this process, kept across invocations."""

    platforms: PlatformList | None = None
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlatformCatalog:
    store: "Platforms"
    now: Callable[[], datetime]
    cache: PlatformCache = field(default_factory=PlatformCache)
    filter: PlatformFilter = field(default_factory=PlatformFilter)

    def cached(self) -> PlatformList | None:
        """Return this process's list if it was read a short time ago."""
        is_recent = self.cache.read_at is not None and self.now() - self.cache.read_at < MAX_AGE_IN_PROCESS
        return self.cache.platforms if is_recent else None

    def read(self) -> PlatformList | None:
        """Return the stored list, and keep it in the process."""
        self.cache.platforms, self.cache.read_at = self.store.read(), self.now()
        return self.cache.platforms

    def needs_connector(self, key: str) -> bool:
        """Return whether the platform needs a connector; False if it is not in the list."""
        current = self.cached() or self.read()
        platform = current.find(key) if current is not None else None
        return platform is not None and platform.needs_connector

    def begin_refresh(self) -> bool:
        """Store that a refresh begins now. Return False if another began within the last minute."""
        return self.store.begin_refresh(self.now(), self.now() - REFRESH_INTERVAL)
