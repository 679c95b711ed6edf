"""The platforms that are enabled in Codat, and which of them are available.

The list is fetched from Codat if none is stored, once a day, if an unknown platform is requested, and by each
reconcile. An unknown platform and an old list cause at most one request to Codat a minute in the whole deployment.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.domain.errors import CodatError, SecretsUnavailable, UnknownPlatform
from shared.domain.platforms import Platform, PlatformFilter, PlatformList
from shared.domain.timestamps import datetime_of

if TYPE_CHECKING:
    from shared.services.context import CodatContext
    from shared.store.platforms import Platforms

MAX_AGE = timedelta(days=1)
MAX_AGE_IN_PROCESS = timedelta(minutes=5)
REFRESH_INTERVAL = timedelta(minutes=1)


@dataclass(slots=True)
class PlatformCache:
    """The list in this process, kept across invocations."""

    known: PlatformList | None = None
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlatformCatalog:
    """The stored list, without requests to Codat."""

    store: "Platforms"
    now: Callable[[], datetime]
    cache: PlatformCache = field(default_factory=PlatformCache)
    filter: PlatformFilter = field(default_factory=PlatformFilter)

    def cached(self) -> PlatformList | None:
        """Return this process's list, unless it was read too long ago."""
        is_recent = self.cache.read_at is not None and self.now() - self.cache.read_at < MAX_AGE_IN_PROCESS
        return self.cache.known if is_recent else None

    def read(self) -> PlatformList | None:
        """Return the stored list, and keep it in the process."""
        return self.keep(self.store.read())

    def keep(self, known: PlatformList | None) -> PlatformList | None:
        self.cache.known, self.cache.read_at = known, self.now()
        return known

    def needs_connector(self, key: str) -> bool:
        """Return whether the platform needs a connector; False if it is not in the list."""
        known = self.cached() or self.read()
        platform = known.find(key) if known is not None else None
        return platform is not None and platform.needs_connector

    def begin_refresh(self) -> bool:
        return self.store.begin_refresh(self.now(), self.now() - REFRESH_INTERVAL)


def available_platforms(context: "CodatContext") -> list[Platform]:
    """Return the available platforms, in Codat's order. Raises Codat's errors if no list is stored."""
    return context.platforms.filter.available(_known(context))


def available_platform(key: str, context: "CodatContext") -> Platform:
    """Return the platform. Raises UnknownPlatform, and Codat's errors if no list is stored."""
    known = _known(context)
    if known.find(key) is None:
        known = _refreshed(known, context)
    available = context.platforms.filter.available(known)
    platform = next((platform for platform in available if platform.key == key), None)
    if platform is None:
        raise UnknownPlatform(key, {platform.key: platform.name for platform in available})
    return platform


def require_enabled(platform: Platform, context: "CodatContext") -> None:
    """After Codat rejected the platform: raise UnknownPlatform if it is no longer enabled there."""
    _refreshed(_known(context), context)
    available_platform(platform.key, context)


def other_names(platform: Platform, context: "CodatContext") -> set[str]:
    """Return the names of the other platforms that are enabled in Codat."""
    return {other.name for other in _known(context).platforms} - {platform.name}


def fetch_platforms(context: "CodatContext") -> PlatformList:
    """Fetch the list from Codat, and store it. Raises Codat's errors."""
    fetched_at = context.timestamp()
    fetched = PlatformList(tuple(context.codat.platforms()), fetched_at)
    context.platforms.store.save(fetched)
    context.platforms.keep(fetched)
    return fetched


def refresh_platforms(context: "CodatContext") -> None:
    """Fetch the list for a reconcile. If Codat fails, the stored list stays."""
    try:
        fetch_platforms(context)
    except CodatError as error:
        context.telemetry.warn("platforms not refreshed", cause=str(error))


def _known(context: "CodatContext") -> PlatformList:
    cached = context.platforms.cached()
    if cached is not None:
        return cached
    stored = context.platforms.read()
    if stored is None:
        # An unknown platform needs no second request after this one.
        context.platforms.begin_refresh()
        return fetch_platforms(context)
    if context.now() - datetime_of(stored.fetched_at) < MAX_AGE:
        return stored
    return _refreshed(stored, context)


def _refreshed(known: PlatformList, context: "CodatContext") -> PlatformList:
    """Return a newer list: Codat's, or the stored one if another process may have fetched it within a minute."""
    if not context.platforms.begin_refresh():
        return context.platforms.read() or known
    try:
        return fetch_platforms(context)
    except (CodatError, SecretsUnavailable) as error:
        context.telemetry.warn("platforms not refreshed", cause=str(error))
        return known
