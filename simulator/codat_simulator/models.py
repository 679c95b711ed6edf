"""The records that Codat stores: companies, their connections, webhook consumers."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from codat_simulator.platforms import Platform

Status = Literal["PendingAuth", "Linked", "Unlinked", "Deauthorized"]


@dataclass(frozen=True, kw_only=True)
class LinkError:
    status_code: str
    status_text: str
    message: str
    at: datetime


@dataclass(kw_only=True)
class Connection:
    id: str
    company_id: str
    platform: Platform
    created: datetime
    status: Status = "PendingAuth"
    ever_linked: bool = False
    last_sync: datetime | None = None
    error: LinkError | None = None


@dataclass(kw_only=True)
class Company:
    """`number` is the position in lists: companies are numbered in order of creation."""

    id: str
    number: int
    name: str
    description: str
    tags: dict[str, str]
    created: datetime
    connections: dict[str, Connection] = field(default_factory=dict)

    @property
    def last_sync(self) -> datetime | None:
        return max((c.last_sync for c in self.connections.values() if c.last_sync), default=None)

    @property
    def active(self) -> bool:
        return any(connection.status == "Linked" for connection in self.connections.values())


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """A webhook consumer. Without event types or company tags it gets the events of all of them."""

    id: str
    url: str
    event_types: tuple[str, ...] = ()
    company_tags: tuple[str, ...] = ()
    disabled: bool = False

    def subscribes_to(self, event_type: str, tags: dict[str, str]) -> bool:
        if self.disabled or (self.event_types and event_type not in self.event_types):
            return False
        return not self.company_tags or any(f"{k}:{v}" in self.company_tags for k, v in tags.items())
