"""The platforms that are enabled in Codat, and which of them are available.

The list is fetched from Codat if none is stored, once a day, if an unknown platform is requested, if Codat rejects a
platform, and by each reconcile. Unless none is stored, callers cause at most one fetch a minute in the deployment.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.domain.errors import CodatError, SecretsUnavailable, UnknownPlatform
from shared.domain.platforms import Platform, PlatformList
from shared.domain.timestamps import datetime_of

if TYPE_CHECKING:
    from shared.services.context import CodatContext

MAX_AGE = timedelta(days=1)


def available_platforms(context: "CodatContext") -> list[Platform]:
    """Return the available platforms, in Codat's order. Raises Codat's errors if no list is stored."""
    return context.platforms.filter.available(_current(context))


def available_platform(key: str, context: "CodatContext") -> Platform:
    """Return the platform. Raises UnknownPlatform, and Codat's errors if no list is stored."""
    current = _current(context)
    if current.find(key) is None:
        current = _refreshed(current, context)
    available = context.platforms.filter.available(current)
    platform = current.find(key)
    if platform is None or platform not in available:
        raise UnknownPlatform(key, {platform.key: platform.name for platform in available})
    return platform


def require_enabled(platform: Platform, context: "CodatContext") -> None:
    """After Codat rejected the platform: refresh the list, and raise UnknownPlatform if it lacks the platform."""
    _refreshed(_current(context), context)
    available_platform(platform.key, context)


def other_names(platform: Platform, context: "CodatContext") -> set[str]:
    """Return the names of the other platforms that are enabled in Codat."""
    return {other.name for other in _current(context).platforms} - {platform.name}


def _fetch(context: "CodatContext") -> PlatformList:
    """Fetch the list from Codat, and store it. Raises Codat's errors."""
    fetched_at = context.timestamp()
    platforms, unparseable = context.codat.platforms()
    if unparseable:
        context.telemetry.warn("platforms that can't be parsed", number=unparseable)
    fetched = PlatformList(tuple(platforms), fetched_at)
    context.platforms.store.save(fetched)
    return context.platforms.read() or fetched


def refresh_platforms(context: "CodatContext") -> PlatformList | None:
    """Fetch the list from Codat, and store it. Return None, and keep the stored list, if Codat fails."""
    try:
        return _fetch(context)
    except (CodatError, SecretsUnavailable) as error:
        context.telemetry.warn("platforms not refreshed", cause=str(error))
        return None


def _current(context: "CodatContext") -> PlatformList:
    if cached := context.platforms.cached():
        return cached  # of any age: while Codat is down, one call in five minutes tries to refresh it
    stored = context.platforms.read()
    if stored is None:
        # This fetch counts as the refresh of this minute.
        context.platforms.begin_refresh()
        return _fetch(context)
    is_recent = context.now() - datetime_of(stored.fetched_at) < MAX_AGE
    return stored if is_recent else _refreshed(stored, context)


def _refreshed(current: PlatformList, context: "CodatContext") -> PlatformList:
    """Return Codat's list, or the stored one if a refresh began within a minute. If Codat fails, return `current`."""
    if not context.platforms.begin_refresh():
        return context.platforms.read() or current
    return refresh_platforms(context) or current
