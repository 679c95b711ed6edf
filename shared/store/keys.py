"""Where everything lives in the one table."""

from zlib import crc32

from shared.domain.instants import Instant
from shared.store.table import Key

CUSTOMER = "CUSTOMER"
COMPANY = "COMPANY"
CONNECTION_PREFIX = "CONNECTION#"
SHARDS = 16
"""Of the indexes: all connections of one status under one key would throttle the table's own writes."""


def customer(customer_id: str) -> Key:
    return f"CUSTOMER#{customer_id}", CUSTOMER


def company(company_id: str) -> Key:
    return f"COMPANY#{company_id}", COMPANY


def connection(company_id: str, connection_id: str) -> Key:
    return f"COMPANY#{company_id}", f"{CONNECTION_PREFIX}{connection_id}"


def connection_claim(company_id: str, platform_key: str) -> Key:
    return f"COMPANY#{company_id}", f"CREATING#{platform_key}"


def timeline(company_id: str, connection_id: str = "") -> Key:
    """The partition and the prefix of a connection's timeline, or of those of all connections of a company."""
    return f"COMPANY#{company_id}", f"EVENT#{connection_id}#" if connection_id else "EVENT#"


def timeline_entry(company_id: str, connection_id: str, at: Instant, event_id: str) -> Key:
    return f"COMPANY#{company_id}", f"EVENT#{connection_id}#{at}#{event_id}"


def unreadable(received_at: Instant, webhook_id: str) -> Key:
    return f"UNREADABLE#{received_at[:10]}", webhook_id


def status_shard(status: str, company_id: str) -> str:
    return f"STATUS#{status}#{_shard(company_id)}"


def customer_shard(customer_id: str) -> str:
    return f"CUSTOMERS#{_shard(customer_id)}"


def customer_shards() -> list[str]:
    return [f"CUSTOMERS#{shard:02d}" for shard in range(SHARDS)]


def status_shards(status: str) -> list[str]:
    return [f"STATUS#{status}#{shard:02d}" for shard in range(SHARDS)]


def _shard(of: str) -> str:
    return f"{crc32(of.encode()) % SHARDS:02d}"
