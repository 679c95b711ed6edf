"""What a customer is: the app's SMB, and the company that stands for it at Codat."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from unicodedata import category
from uuid import UUID

from shared.domain.connections import Observed
from shared.domain.errors import TooManyTags
from shared.domain.instants import Instant

CUSTOMER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}", re.ASCII)
"""The id goes into a Codat query, so nothing that means something there (`=`, `|`, `&`, `{`, …) may pass."""

MAX_TAGS = 9
"""Codat takes ten, and one of them is ours."""

_FORBIDDEN_IN_NAMES = re.compile(r"[^A-Za-z0-9\s\-',&@.?!]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Content:
    """What the caller says of a customer. The table is its truth; Codat gets a copy.

    Like all that people say of themselves or may recognise them by, here and in connections, it is left out of what
    `repr` shows: ids are enough for a log.
    """

    name: str = field(repr=False)
    description: str | None = field(default=None, repr=False)
    tags: Mapping[str, str] = field(default_factory=dict, repr=False)

    def differing_fields(self, other: "Content") -> list[str]:
        return [name for name in ("name", "description", "tags") if getattr(self, name) != getattr(other, name)]


def as_codat_spells(company_id: str) -> str:
    """Codat takes a GUID in any form and tells it in one; what is stored under another is found by no webhook."""
    try:
        return str(UUID(company_id))
    except ValueError:
        return company_id


def content_of(told: Mapping[str, Any]) -> Content:
    """The content among other things that are stored of a customer, or of the claim on its creation."""
    return Content(name=told["name"], description=told.get("description"), tags=told["tags"])


@dataclass(frozen=True, slots=True)
class Customer:
    customer_id: str
    company_id: str
    content: Content
    created_at: Instant
    updated_at: Instant
    version: int
    """Grows with every change. It starts at the millisecond of the creation: a customer that is created again after
    its deletion stands above everything that was said of the first one.
    """
    dirty: bool = False
    """Codat has not confirmed the content yet."""
    adopted: bool = False
    """Found at Codat, not asked for: nobody has said yet what its content shall be."""
    kept_tags: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What an adopted company was tagged with before; Codat gets them along with the content's own."""
    key_id: str = ""
    """Of the API key under which Codat has shown the company."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A customer that is being deleted; whoever owns the lease is at it."""

    customer_id: str
    company_id: str
    key_id: str
    """As the customer's."""
    owner: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose a company is."""

    customer_id: str | None
    reserved: bool = False
    """For a customer whose adoption of it is not complete."""
    ended: bool = False
    """The company was deleted, or is being deleted: what comes late must not bring anything back."""


@dataclass(frozen=True, slots=True)
class Company:
    """A company as Codat tells it."""

    company_id: str
    customer_id: str | None
    """Whose it is by its tag; None where the tag is missing, or can't be a customer id."""
    created_at: Instant
    name: str = field(repr=False)
    description: str | None = field(repr=False)
    tags: Mapping[str, str] = field(repr=False)
    """The others."""
    connections: tuple[Observed, ...] = ()
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
    """Of requests to Codat, for this day and all of its users together."""

    limit: int
    remaining: int


def is_customer_id(text: str) -> bool:
    return CUSTOMER_ID.fullmatch(text) is not None


def customer_of(uid: str | None) -> str | None:
    """The customer that a company's tag names, where it is a valid customer id."""
    return uid if uid is not None and is_customer_id(uid) else None


def kept_beside(content: Content, tags: Mapping[str, str]) -> dict[str, str]:
    """Those of a company's earlier tags that stay beside the content's. Raises TooManyTags where Codat wouldn't take
    all of them.
    """
    kept = {key: value for key, value in tags.items() if key not in content.tags}
    if len(kept) + len(content.tags) > MAX_TAGS:
        raise TooManyTags(len(kept))
    return kept


def company_name(content: Content, customer_id: str) -> str:
    """The customer's name as Codat would keep it: the characters it would strip in silence are left out.

    Where nothing is left ("株式会社"), the customer's id, stripped likewise, stands in: Codat wants a name.
    """
    return _FORBIDDEN_IN_NAMES.sub("", content.name).strip() or _FORBIDDEN_IN_NAMES.sub("", customer_id)


def is_printable(text: str) -> bool:
    """Joiners count as printable, since Persian, Hindi and emoji can't be written without them; so do the spaces of
    other scripts ("株式会社　日本").
    """
    return all(one.isprintable() or one in _JOINERS or category(one) == "Zs" for one in text)


_JOINERS = "\u200c\u200d"
