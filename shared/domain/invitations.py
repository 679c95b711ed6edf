"""Invitations: a URL with which a person who is not in the app can connect a customer's platform.

The URL contains a token. Only its hash is stored, so a reader of the table can't open an invitation.
"""

from dataclasses import dataclass
from hashlib import sha256
from secrets import token_urlsafe

from shared.domain.timestamps import Timestamp

TOKEN_BYTES = 32
"""256 bits: guessing a token would take longer than any invitation is open."""

DEFAULT_DAYS = 7
MAX_DAYS = 30

MAX_OPEN = 20
"""Open invitations of a customer: more of them are a fault of the app."""


@dataclass(frozen=True, slots=True)
class Invitation:
    invitation_id: str
    customer_id: str
    company_id: str
    platform_key: str | None
    """None if the person chooses the platform."""
    token_hash: str
    created_at: Timestamp
    expires_at: Timestamp
    is_revoked: bool = False

    def is_open(self, now: Timestamp) -> bool:
        return not self.is_revoked and now < self.expires_at


def new_token() -> str:
    return token_urlsafe(TOKEN_BYTES)


def hash_of(token: str) -> str:
    """Return the hash under which an invitation is stored. Any text is hashed, so that each takes the same time."""
    return sha256(token.encode(errors="surrogatepass")).hexdigest()
