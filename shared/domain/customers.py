"""What a customer is: the app's SMB, and the company that stands for it at Codat."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.domain.instants import Instant

CUSTOMER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}", re.ASCII)
"""The id goes into a Codat query, so nothing that means something there (`=`, `|`, `&`, `{`, …) may pass."""

MAX_TAGS = 9
"""Codat takes ten, and one of them is ours."""

_FORBIDDEN_IN_NAMES = re.compile(r"[^A-Za-z0-9\s\-',&@.?!]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Content:
    """What the caller says of a customer. The table is its truth; Codat gets a copy."""

    name: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def differing_fields(self, other: "Content") -> list[str]:
        return [name for name in ("name", "description", "tags") if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True, slots=True)
class Customer:
    customer_id: str
    company_id: str
    content: Content
    created_at: Instant
    updated_at: Instant
    version: int = 1


@dataclass(frozen=True, slots=True)
class Company:
    """A company as Codat tells it."""

    company_id: str
    created_at: Instant
    tags: Mapping[str, str]


def is_customer_id(text: str) -> bool:
    return CUSTOMER_ID.fullmatch(text) is not None


def company_name(content: Content, customer_id: str) -> str:
    """The customer's name as Codat would keep it: the characters it would strip in silence are left out.

    Where nothing is left ("株式会社"), the customer's id, stripped likewise, stands in: Codat wants a name.
    """
    return _FORBIDDEN_IN_NAMES.sub("", content.name).strip() or _FORBIDDEN_IN_NAMES.sub("", customer_id)


def is_printable(text: str) -> bool:
    """Joiners count as printable, since Persian, Hindi and emoji can't be written without them."""
    return text.translate(_JOINERS).isprintable()


_JOINERS = {0x200C: None, 0x200D: None}
