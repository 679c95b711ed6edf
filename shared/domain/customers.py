"""What a customer is: the app's SMB, and the company that represents it at Codat."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from unicodedata import category
from uuid import UUID

from shared.domain.connections import ConnectionSnapshot
from shared.domain.errors import TooManyTags
from shared.domain.timestamps import Timestamp

CUSTOMER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}", re.ASCII)
"""The id becomes part of a Codat query, so it contains nothing that has a meaning there (`=`, `|`, `&`, `{`, …)."""

CREATION_TAG = "creationId"
"""The company tag that holds the random id of the creation that made it."""

MAX_TAGS = 8
"""Codat allows ten. Two are ours: the customer id and the creation id."""

MAX_OTHER_TAGS = 9
"""Codat's ten, without the customer id."""

_FORBIDDEN_IN_NAMES = re.compile(r"[^A-Za-z0-9\s\-',&@.?!]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Profile:
    """What the app says of a customer. The table holds the truth; Codat gets a copy.

    Personal data is left out of every `repr`, here and in connections: ids are enough for a log.
    """

    name: str = field(repr=False)
    description: str | None = field(default=None, repr=False)
    tags: Mapping[str, str] = field(default_factory=dict, repr=False)

    def differing_fields(self, other: "Profile") -> list[str]:
        return [name for name in ("name", "description", "tags") if getattr(self, name) != getattr(other, name)]


def normalize_company_id(company_id: str) -> str:
    """Return the id as Codat writes it. Codat accepts a GUID in any form, and its webhooks contain one."""
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
    """Grows with every write. It starts at the millisecond of the creation, so a customer that is created again after
    its deletion is above every version of the first one.
    """
    confirmed_profile: Profile | None = None
    """What Codat confirmed last, if `profile` is newer than that."""
    profile_unset: bool = False
    """Adopted by reconcile: the app has not said yet what the profile is."""
    existing_tags: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The company's tags beside the profile's: the creation id, and what an adopted company had before."""

    @property
    def sync_pending(self) -> bool:
        """True if Codat has not confirmed the profile yet."""
        return self.confirmed_profile is not None


@dataclass(frozen=True, slots=True)
class Deletion:
    """A customer that is being deleted; the owner of the lease is doing it."""

    customer_id: str
    company_id: str
    owner: str


@dataclass(frozen=True, slots=True)
class Ownership:
    """What the pointer from a company to its customer says."""

    customer_id: str | None = None
    """The customer; also while `is_reserved` or `has_ended`. None without a pointer."""
    is_reserved: bool = False
    """For a customer whose adoption of the company is not complete."""
    has_ended: bool = False
    """The company was deleted, or is being deleted: late events must not bring anything back."""
    is_restoring: bool = False
    """Its customer is being restored from a backup: until that is done, a webhook has to come again."""
    discarded: Mapping[str, Any] | None = field(default=None, repr=False)
    """Of an adoption that was undone, for a few days: name, description and tags before it, and its `adopter`."""

    @property
    def owner(self) -> str | None:
        """The customer that owns the company. The pointer alone decides that, never a tag."""
        return None if self.is_reserved or self.has_ended else self.customer_id

    def before_adoption_by(self, customer_id: str, company_id: str) -> Mapping[str, Any] | None:
        """Return what the company was before an adoption by this customer that was undone; None if there was none."""
        is_theirs = self.discarded is not None and self.discarded["adopter"] == adopter_digest(company_id, customer_id)
        return self.discarded if is_theirs else None


def adopter_digest(company_id: str, customer_id: str) -> str:
    """Identify the customer of an undone adoption without storing its id, which would outlive its deletion."""
    return sha256(f"{company_id}:{customer_id}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Company:
    """A company as Codat returns it."""

    company_id: str
    tagged_customer_id: str | None
    """The customer id in its tag; None if the tag is missing, or can't be a customer id."""
    created_at: Timestamp
    name: str = field(repr=False)
    description: str | None = field(repr=False)
    tags: Mapping[str, str] = field(repr=False)
    """All other tags."""
    connections: tuple[ConnectionSnapshot, ...] = ()
    unparseable_connections: int = 0
    link_url: str | None = field(default=None, repr=False)
    """Of its Hosted Link page; a one-time credential, as a connection's is."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    token: str = field(repr=False)
    expires_in: int
    """Seconds."""
    token_type: str


@dataclass(frozen=True, slots=True)
class Quota:
    """Codat's daily quota of requests, shared by all that use the Codat client."""

    limit: int
    remaining: int


def is_customer_id(text: str) -> bool:
    return CUSTOMER_ID.fullmatch(text) is not None


def customer_id_from_tag(uid: str | None) -> str | None:
    """Return the customer id that a company's tag contains, if it is a valid one."""
    return uid if uid is not None and is_customer_id(uid) else None


def split_tags(tags: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the tags of a company to adopt that are the app's, and those that it keeps beside them.

    If this service created the company, all but the creation id are the app's; otherwise none is.
    """
    if CREATION_TAG not in tags:
        return {}, tags
    return {key: value for key, value in tags.items() if key != CREATION_TAG}, {CREATION_TAG: tags[CREATION_TAG]}


def merge_tags(profile: Profile, existing: Mapping[str, str]) -> dict[str, str]:
    """Return a company's tags without the customer id: the profile's win over existing ones.

    Raises TooManyTags if Codat would not accept all of them.
    """
    merged = {**existing, **profile.tags}
    if len(merged) > MAX_OTHER_TAGS:
        raise TooManyTags(len(merged) - len(profile.tags))
    return merged


def company_name(profile: Profile, customer_id: str) -> str:
    """Return the customer's name as Codat stores it: without the characters that Codat strips silently.

    If nothing remains ("株式会社"), return the customer's id, stripped in the same way: Codat requires a name.
    """
    return _FORBIDDEN_IN_NAMES.sub("", profile.name).strip() or _FORBIDDEN_IN_NAMES.sub("", customer_id)


def is_printable(text: str) -> bool:
    """Return whether a text can be shown. Joiners count as printable, because Persian, Hindi and emoji need them; so
    do the spaces of other scripts ("株式会社　日本").
    """
    return all(character.isprintable() or character in _JOINERS or category(character) == "Zs" for character in text)


_JOINERS = "\u200c\u200d"
