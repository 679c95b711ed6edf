"""Query parameters, each with words that say what to change."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from shared.domain.errors import InvalidQuery

DEFAULT_LIMIT = 50
MOST = 100

_Choice = TypeVar("_Choice", bound=StrEnum)


def limit(query: Mapping[str, str]) -> int:
    """`limit`, from 1 to 100. Raises InvalidQuery."""
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST))) or not 1 <= int(text) <= MOST:
        raise InvalidQuery("limit", f"must be a whole number from 1 to {MOST}")
    return int(text)


def choice(query: Mapping[str, str], name: str, choices: type[_Choice], but: set[_Choice]) -> _Choice:
    """One of the choices that `but` does not exclude. Raises InvalidQuery."""
    allowed = [one for one in choices if one not in but]
    text = query.get(name)
    if text not in allowed:
        raise InvalidQuery(name, f"must be one of {', '.join(allowed)}")
    return choices(text)


def known(query: Mapping[str, str], *names: str) -> None:
    """Raises InvalidQuery for a parameter that the route doesn't have: misspelt, it would be lost in silence."""
    for name in query:
        if name not in names:
            raise InvalidQuery(name, f"is not a parameter here; there are {', '.join(names)}")
