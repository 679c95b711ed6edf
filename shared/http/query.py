"""Query parameters. Each error says what to change."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from shared.domain.errors import InvalidQuery

DEFAULT_LIMIT = 50
MAX_LIMIT = 100

_Choice = TypeVar("_Choice", bound=StrEnum)


def limit(query: Mapping[str, str]) -> int:
    """Parse `limit`, from 1 to 100. Raises InvalidQuery."""
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT))) or not 1 <= int(text) <= MAX_LIMIT:
        raise InvalidQuery("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def choice(query: Mapping[str, str], name: str, choices: type[_Choice], but: set[_Choice]) -> _Choice:
    """Parse one of the choices that `but` does not exclude. Raises InvalidQuery."""
    allowed = [member for member in choices if member not in but]
    text = query.get(name)
    if text not in allowed:
        raise InvalidQuery(name, f"must be one of {', '.join(allowed)}")
    return choices(text)


def allow_only(query: Mapping[str, str], *names: str) -> None:
    """Raise InvalidQuery for a parameter that the route doesn't have: a misspelt one would be ignored silently."""
    for name in query:
        if name not in names:
            raise InvalidQuery(name, f"is not a parameter here; the parameters are {', '.join(names)}")
