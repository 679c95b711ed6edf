"""What the driver has done, and what may therefore differ from what the product promises."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class HandMade:
    """A company that another app or a person has created."""

    id: str
    name: str
    tags: dict[str, str]
    connection_id: str


@dataclass
class Ledger:
    customer_ids: list[str]
    """All that are ever used."""
    adoptable: list[HandMade]
    """Adopted by explicit calls."""
    orphans: list[HandMade]
    """They carry a customer id in our tag. Only a deployment that adopts orphans may touch them."""
    hosted: set[str] = field(default_factory=set)
    """Connections that people have created: there may be several to one platform."""
    deleted_by_people: set[str] = field(default_factory=set)
    """Companies and connections."""
    deleted_by_app: set[str] = field(default_factory=set)
    """Customers and connections for which a DELETE was sent."""

    # What a loss of items excuses.

    unrestored: set[str] = field(default_factory=set)
    """Companies of lost customers that were not restored: they are not in the backup, or were created again meanwhile
    with another company."""
    lost_creations: set[str] = field(default_factory=set)
    """Customers whose creation was in progress."""
    lost_adoptions: set[str] = field(default_factory=set)
    """Companies whose adoption was in progress: what they were before is lost."""
    lost_leases: set[str] = field(default_factory=set)
    """Companies with a connection that was being created."""
    lost_without_backup: set[str] = field(default_factory=set)
    """Connections that the backup does not contain. If Codat deletes one meanwhile, nothing shows that it existed."""
    lost_unlisted: set[str] = field(default_factory=set)
    """Connections lost so soon after their creation that Codat's lists may not show them: a call meanwhile creates
    another connection to the platform."""

    @property
    def irreparable(self) -> set[str]:
        """Companies of which the loss has left something behind for good."""
        return self.unrestored | self.lost_adoptions

    @property
    def hand_made(self) -> list[HandMade]:
        return [*self.adoptable, *self.orphans]

    def is_hand_made(self, item: dict[str, Any]) -> bool:
        """Return whether the customer has a company that this service did not create."""
        return item.get("companyId") in {company.id for company in self.hand_made}
