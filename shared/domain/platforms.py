"""The platforms that a customer can connect; keys and names are Codat's."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.timestamps import Timestamp

ACCOUNTING = "Accounting"
TEST_KEYS = frozenset({"mqjo", "ndsk"})
"""Codat's own sandbox and QuickBooks Online's."""


@dataclass(frozen=True, slots=True)
class Platform:
    key: str
    name: str
    source_type: str = ACCOUNTING
    logo_url: str = ""
    needs_connector: bool = False
    """True if the customer has to install a connector on their computer before the authorisation."""
    beta: bool = False


@dataclass(frozen=True, slots=True)
class PlatformList:
    """All platforms that were enabled in Codat at `fetched_at`, on our clock."""

    platforms: tuple[Platform, ...]
    fetched_at: Timestamp

    def find(self, key: str) -> Platform | None:
        return next((platform for platform in self.platforms if platform.key == key), None)


@dataclass(frozen=True, slots=True)
class PlatformFilter:
    """The platforms that this deployment makes available."""

    keys: Sequence[str] = ()
    """Empty for all."""
    source_types: Sequence[str] = (ACCOUNTING,)
    allow_sandbox: bool = False

    def available(self, enabled: PlatformList) -> list[Platform]:
        return [platform for platform in enabled.platforms if self._allows(platform)]

    def _allows(self, platform: Platform) -> bool:
        is_allowed = self.allow_sandbox if platform.key in TEST_KEYS else not self.keys or platform.key in self.keys
        return is_allowed and platform.source_type in self.source_types
