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

    def known(self) -> PlatformList | None:
        """Return this process's list, or the stored one if that was read too long ago."""
        is_recent = self.cache.read_at is not None and self.now() - self.cache.read_at < MAX_AGE_IN_PROCESS
        return self.cache.known if is_recent and self.cache.known is not None else self.read()

    def read(self) -> PlatformList | None:
        """Return the stored list, and keep it in the process."""
        self.cache.known, self.cache.read_at = self.store.read(), self.now()
        return self.cache.known

    def needs_connector(self, key: str) -> bool:
        """Return whether the platform needs a connector; False if it is not in the list."""
        known = self.known()
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


def _fetch(context: "CodatContext") -> PlatformList:
    """Fetch the list from Codat, and store it. Raises Codat's errors."""
    fetched_at = context.timestamp()
    fetched = PlatformList(tuple(context.codat.platforms()), fetched_at)
    context.platforms.store.save(fetched)
    return context.platforms.read() or fetched


def refresh_platforms(context: "CodatContext") -> PlatformList | None:
    """Fetch the list from Codat, and store it. Return None, and keep the stored list, if Codat fails."""
    try:
        return _fetch(context)
    except (CodatError, SecretsUnavailable) as error:
        context.telemetry.warn("platforms not refreshed", cause=str(error))
        return None


def _known(context: "CodatContext") -> PlatformList:
    known = context.platforms.known()
    if known is None:
        # An unknown platform needs no second request after this one.
        context.platforms.begin_refresh()
        return _fetch(context)
    is_current = context.now() - datetime_of(known.fetched_at) < MAX_AGE
    return known if is_current else _refreshed(known, context)


def _refreshed(known: PlatformList, context: "CodatContext") -> PlatformList:
    """Return a newer list: Codat's, or the stored one if another process may have fetched it within a minute."""
    if not context.platforms.begin_refresh():
        return context.platforms.read() or known
    return refresh_platforms(context) or known
