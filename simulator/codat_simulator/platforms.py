"""The integrations of the simulator."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid5

_NAMESPACE = UUID("6a1f2c1e-5f2b-4c55-9c0e-3d6f0b7a9e10")

SourceType = Literal["Accounting", "Banking", "BankFeed", "Commerce", "Expense", "Other", "Unknown"]


@dataclass(frozen=True, kw_only=True)
class Platform:
    key: str
    name: str
    source_type: SourceType = "Accounting"
    enabled: bool = True
    offline: bool = False
    beta: bool = False

    @property
    def integration_id(self) -> str:
        return str(uuid5(_NAMESPACE, f"integration:{self.key}"))

    @property
    def source_id(self) -> str:
        return str(uuid5(_NAMESPACE, f"source:{self.key}"))

    def body(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "logoUrl": f"https://static.codat.io/public/officialLogos/Full/{self.integration_id}.png",
            "name": self.name,
            "enabled": self.enabled,
            "sourceId": self.source_id,
            "sourceType": self.source_type,
            "integrationId": self.integration_id,
            "isOfflineConnector": self.offline,
            "isBeta": self.beta,
        }


PLATFORMS: dict[str, Platform] = {
    platform.key: platform
    for platform in (
        Platform(key="pdvj", name="MYOB Business"),
        Platform(key="akxx", name="Oracle NetSuite"),
        Platform(key="qhyg", name="QuickBooks Online"),
        Platform(key="pqsw", name="QuickBooks Desktop", offline=True),
        Platform(key="knfz", name="Sage Intacct"),
        Platform(key="fbrh", name="FreeAgent"),
        Platform(key="gbol", name="Xero"),
        Platform(key="rwuv", name="Zoho Books"),
        Platform(key="mqjo", name="Codat Sandbox"),
        Platform(key="ndsk", name="QuickBooks Online Sandbox"),
        Platform(key="hbql", name="Sage 50", offline=True, enabled=False),
        Platform(key="pbtz", name="Wave", enabled=False),
        Platform(key="vjms", name="Pandle", enabled=False),
        # Other kinds, so that clients notice a missing filter. These keys are the simulator's, except Basiq's.
        Platform(key="dfxm", name="Basiq", source_type="Banking"),
        Platform(key="plad", name="Plaid", source_type="Banking"),
        Platform(key="bfed", name="Xero Bank Feeds", source_type="BankFeed", beta=True),
        Platform(key="shpf", name="Shopify", source_type="Commerce"),
        Platform(key="zttl", name="Zettle", source_type="Commerce", enabled=False),
    )
}
