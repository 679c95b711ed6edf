from dataclasses import dataclass
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    items: list[_Item]
    cursor: str | None
    """Opaque; returns the next page. None on the last page."""
