"""The keys of the table and of its indexes. With an empty id, the sort key is the prefix of all of its kind."""

from hashlib import sha256
from zlib import crc32

from shared.domain.timestamps import Timestamp
from shared.store.table import Key

CUSTOMER = "CUSTOMER"
COMPANY = "COMPANY"
CONNECTION_PREFIX = "CONNECTION#"
CUSTOMERS = "CUSTOMERS"
QUARANTINE = "UNREADABLE"
ATTENTION = "ATTENTION"
INVITATION = "INVITATION"
API_KEYS = "APIKEYS"
API_KEY_PREFIX = "KEY#"
FIRST_API_KEY: Key = (API_KEYS, "FIRST")
PLATFORM_LIST: Key = ("PLATFORMS", "LIST")
PLATFORM_REFRESH: Key = ("PLATFORMS", "REFRESH")
SHARDS = 16
"""Shards of each index: under one key, the connections with a common status would throttle the table's writes."""


def attributes(key: Key) -> dict[str, str]:
    return {"pk": key[0], "sk": key[1]}


def customer(customer_id: str) -> Key:
    return f"CUSTOMER#{customer_id}", CUSTOMER


def company(company_id: str) -> Key:
    return f"COMPANY#{company_id}", COMPANY


def connection(company_id: str, connection_id: str) -> Key:
    return f"COMPANY#{company_id}", f"{CONNECTION_PREFIX}{connection_id}"


def connection_lease(company_id: str, platform_key: str) -> Key:
    return f"COMPANY#{company_id}", f"CREATING#{platform_key}"


def timeline(company_id: str, connection_id: str = "") -> Key:
    """Return the partition and prefix of a connection's timeline, or of all timelines of a company."""
    return f"COMPANY#{company_id}", f"EVENT#{connection_id}#" if connection_id else "EVENT#"


def timeline_entry(company_id: str, connection_id: str, at: Timestamp, event_id: str) -> Key:
    return f"COMPANY#{company_id}", f"EVENT#{connection_id}#{at}#{event_id}"


def quarantined(webhook_id: str, company_id: str | None) -> Key:
    """Return a key in the company's partition, so that it is deleted with the company, if the company is known."""
    digest = sha256(webhook_id.encode()).hexdigest()  # an id may be as long as a key
    return f"COMPANY#{company_id}" if company_id else f"{QUARANTINE}#", f"{QUARANTINE}#{digest}"


def invitation_token(token_hash: str) -> Key:
    return f"{INVITATION}#{token_hash}", INVITATION


def invitation(company_id: str, invitation_id: str) -> Key:
    return f"COMPANY#{company_id}", f"{INVITATION}#{invitation_id}"


def invitations_version(company_id: str) -> Key:
    return f"COMPANY#{company_id}", f"{INVITATION}S"


def invitations(company_id: str) -> Key:
    """Return the partition and prefix of a company's invitations with their count."""
    return f"COMPANY#{company_id}", INVITATION


def api_key(fingerprint: str) -> Key:
    return API_KEYS, f"{API_KEY_PREFIX}{fingerprint}"


def with_status(status: str) -> str:
    return f"STATUS#{status}"


def shard(index_key: str, text: str) -> str:
    """Return the shard of an index key that holds the entry for `text`."""
    return f"{index_key}#{crc32(text.encode()) % SHARDS:02d}"


def shards(index_key: str) -> list[str]:
    return [f"{index_key}#{number:02d}" for number in range(SHARDS)]
