"""Customers: an app's SMBs, each with the company that represents it at Codat."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from unicodedata import category
from uuid import UUID

from shared.domain.connections import StatusUpdate
from shared.domain.errors import TooManyTags
from shared.domain.timestamps import Timestamp

CUSTOMER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}", re.ASCII)
"""Without the operators of Codat's query language (`=`, `|`, `&`, `{`, …): the id becomes part of a query."""

CREATION_TAG = "creationId"
"""The company tag that holds the random id of the creation that made the company."""

MAX_TAGS = 8
"""Codat allows ten. The service adds the customer id and the creation id."""

_FORBIDDEN_IN_NAMES = re.compile(r"[^A-Za-z0-9\s\-',&@.?!]", re.ASCII)
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True)
class Profile:
    """A customer's data from the app. Every `repr` omits personal data but ids, here and in connections."""

    name: str = field(repr=False)
    description: str | None = field(default=None, repr=False)
    tags: Mapping[str, str] = field(default_factory=dict, repr=False)

    def differing_fields(self, other: "Profile") -> list[str]:
        return [name for name in ("name", "description", "tags") if getattr(self, name) != getattr(other, name)]


def normalize_company_id(company_id: str) -> str:
    """Return the id in the form that Codat's webhooks use. Codat's API accepts a GUID in any form."""
    try:
        return str(UUID(company_id))
    except ValueError:
        return company_id


def profile_of(item: Mapping[str, Any]) -> Profile:
    """Read the profile from a stored customer, or from the lease on its creation."""
    return Profile(name=item["name"], description=item.get("description"), tags=item["tags"])


@dataclass(frozen=True, slots=True)
class Customer:
    customer_id: str
    company_id: str
    profile: Profile
    created_at: Timestamp
    updated_at: Timestamp
    version: int
    """Starts at the millisecond of the creation and grows with every write, so it also grows after a re-creation."""
    confirmed_profile: Profile | None = None
    """The last profile that Codat confirmed; None if it is `profile`."""
    profile_unset: bool = False
    """True if reconcile adopted the company and the app has not sent a profile yet."""
    existing_tags: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The company's other tags: the creation id, and those that an adopted company had before."""

    @property
    def sync_pending(self) -> bool:
        return self.confirmed_profile is not None


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion that has begun, and the owner of its lease."""

    customer_id: str
    company_id: str
    owner: str


@dataclass(frozen=True, slots=True)
class Ownership:
    """The content of the pointer from a company to its customer."""

    customer_id: str | None = None
    """Also set while `is_reserved`, and until a deletion is complete; None if there is no customer."""
    is_reserved: bool = False
    """The customer's adoption of the company is not complete."""
    has_ended: bool = False
    """The company was deleted, or is being deleted: late events must not restore anything."""
    is_restoring: bool = False
    """The customer is being restored from a backup: until that is done, Codat has to resend webhooks."""
    discarded: Mapping[str, Any] | None = field(default=None, repr=False)
    """After an undone adoption, for a few days: the earlier name, description and tags, and the `adopter`."""

    @property
    def owner(self) -> str | None:
        """The customer that owns the company. The pointer alone decides that, not a tag."""
        return None if self.is_reserved or self.has_ended else self.customer_id

    @property
    def is_free(self) -> bool:
        """True if the company has no owner and has not ended. It may be reserved."""
        return self.owner is None and not self.has_ended

    def before_adoption_by(self, customer_id: str, company_id: str) -> Mapping[str, Any] | None:
        """Return the company's content before this customer's adoption, if that was undone."""
        is_theirs = self.discarded is not None and self.discarded["adopter"] == adopter_digest(company_id, customer_id)
        return self.discarded if is_theirs else None


def adopter_digest(company_id: str, customer_id: str) -> str:
    """Return a digest of both ids. The customer id itself would stay stored after the customer's deletion."""
    return sha256(f"{company_id}:{customer_id}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Company:
    """A company as Codat returns it."""

    company_id: str
    tagged_customer_id: str | None
    """The customer id in its tag; None without a valid one."""
    profile: Profile
    """Its tags are the company's without the customer id's."""
    connections: tuple[StatusUpdate, ...] = ()
    unparseable_connections: int = 0
    link_url: str | None = field(default=None, repr=False)
    """Its Hosted Link page. A one-time credential, like a connection's link URL."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    token: str = field(repr=False)
    expires_in: int
    """Seconds."""
    token_type: str


@dataclass(frozen=True, slots=True)
class Quota:
    """Codat's daily quota of requests, which all apps of the Codat client share."""

    limit: int
    remaining: int


def is_customer_id(text: str) -> bool:
    return CUSTOMER_ID.fullmatch(text) is not None


def customer_id_from_tag(tag: str | None) -> str | None:
    """Return the customer id in a company's tag; None if it is missing or invalid."""
    return tag if tag is not None and is_customer_id(tag) else None


def split_tags(tags: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the app's tags of a company to adopt, and the others: all, if the company has no creation id."""
    if CREATION_TAG not in tags:
        return {}, tags
    return {key: value for key, value in tags.items() if key != CREATION_TAG}, {CREATION_TAG: tags[CREATION_TAG]}


def merge_tags(profile: Profile, existing: Mapping[str, str]) -> dict[str, str]:
    """Return a company's tags without the customer id: the profile's replace existing ones. Raises TooManyTags."""
    merged = {**existing, **profile.tags}
    if len(merged) > MAX_TAGS + 1:  # Codat's ten without the customer id
        raise TooManyTags(len(merged) - len(profile.tags))
    return merged


def company_name(profile: Profile, customer_id: str) -> str:
    """Return the name without the characters that Codat strips; the id, without them, if none remain ("株式会社")."""
    return _FORBIDDEN_IN_NAMES.sub("", profile.name).strip() or _FORBIDDEN_IN_NAMES.sub("", customer_id)


def is_printable(text: str) -> bool:
    """Return whether the text has no control characters. Spaces and joiners (Persian, Hindi, emoji) are printable."""
    return all(character.isprintable() or character in _JOINERS or category(character) == "Zs" for character in text)
