"""The accounting platforms that a customer can connect; keys and names are Codat's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.domain.errors import UnknownPlatform

ACCOUNTING = "Accounting"
SANDBOX_KEY = "mqjo"
QUICKBOOKS_DESKTOP_KEY = "pqsw"


@dataclass(frozen=True, slots=True)
class Platform:
    key: str
    name: str
    source_type: str = ACCOUNTING
    needs_connector: bool = False
    """True if the customer has to install a connector on their computer before the authorisation."""


CATALOGUE: Mapping[str, Platform] = {
    platform.key: platform
    for platform in (
        Platform("pdvj", "MYOB Business"),
        Platform("akxx", "Oracle NetSuite"),
        Platform("qhyg", "QuickBooks Online"),
        Platform(QUICKBOOKS_DESKTOP_KEY, "QuickBooks Desktop", needs_connector=True),
        Platform("knfz", "Sage Intacct"),
        Platform("fbrh", "FreeAgent"),
        Platform("gbol", "Xero"),
        Platform("rwuv", "Zoho Books"),
        Platform(SANDBOX_KEY, "Codat sandbox"),
    )
}

PLATFORM_NAMES = frozenset(platform.name for platform in CATALOGUE.values())


@dataclass(frozen=True, slots=True)
class PlatformCatalog:
    """The platforms that this deployment offers, in the order of its configuration."""

    platforms: tuple[Platform, ...]

    @classmethod
    def of(cls, keys: Iterable[str], *, allow_sandbox: bool) -> "PlatformCatalog":
        """Return the platforms with these keys. Raises ValueError for a key that is not in the catalogue."""
        wanted = [key for key in keys if key != SANDBOX_KEY]
        if unknown := [key for key in wanted if key not in CATALOGUE]:
            raise ValueError(f"platform keys not in the catalogue: {', '.join(unknown)}")
        return cls(tuple(CATALOGUE[key] for key in [*wanted, *([SANDBOX_KEY] if allow_sandbox else [])]))

    def platform(self, key: str) -> Platform:
        """Return the platform with this key. Raises UnknownPlatform."""
        for platform in self.platforms:
            if platform.key == key:
                return platform
        raise UnknownPlatform(key, {platform.key: platform.name for platform in self.platforms})
