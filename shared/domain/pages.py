"""A page of a long list."""

from dataclasses import dataclass
from typing import Generic, TypeVar

_Thing = TypeVar("_Thing")


@dataclass(frozen=True, slots=True)
class Page(Generic[_Thing]):
    items: list[_Thing]
    cursor: str | None
    """Opaque: asks for what follows; None on the last page."""
