"""The accounting platforms that a customer can connect; keys and names are Codat's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.domain.errors import UnknownPlatform

ACCOUNTING = "Accounting"


@dataclass(frozen=True, slots=True)
class Platform:
    key: str
    name: str
    source_type: str = ACCOUNTING
    needs_connector: bool = False
    """True where the customer installs a connector on their own computer before they can authorise."""


SANDBOX_KEY = "mqjo"
QUICKBOOKS_DESKTOP_KEY = "pqsw"

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
    """The platforms that this deployment lets customers connect, in the order of its configuration."""

    platforms: tuple[Platform, ...]

    @classmethod
    def of(cls, keys: Iterable[str], *, allow_sandbox: bool) -> "PlatformCatalog":
        """Raises ValueError on a key that the catalogue lacks: a misspelt setting must not pass in silence."""
        wanted = [key for key in keys if key != SANDBOX_KEY]
        if unknown := [key for key in wanted if key not in CATALOGUE]:
            raise ValueError(f"platform keys not in the catalogue: {', '.join(unknown)}")
        return cls(tuple(CATALOGUE[key] for key in [*wanted, *([SANDBOX_KEY] if allow_sandbox else [])]))

    def platform(self, key: str) -> Platform:
        for platform in self.platforms:
            if platform.key == key:
                return platform
        raise UnknownPlatform(key, self.platforms_by_key())

    def platforms_by_key(self) -> dict[str, str]:
        return {platform.key: platform.name for platform in self.platforms}
