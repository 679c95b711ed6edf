"""Codat's query language, as in `tags=uid=42||{region=uk&&team!=sales}`.

A term is a name, one of `=`, `!=`, `~` (contains) and a value; `&&` binds tighter than `||`, and
braces group. Values are compared as text and by case.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from codat_simulator.refusals import malformed_query

Read = Callable[[str], str | None]

_TOKEN = re.compile(r"\s*(&&|\|\||\{|\}|!=|=|~)\s*")
_OPERATORS = frozenset({"=", "!=", "~"})
# Deeper nesting than anybody writes would otherwise end in a RecursionError.
_DEEPEST = 50


@dataclass(frozen=True)
class Term:
    name: str
    operator: str
    value: str

    def holds(self, read: Read) -> bool:
        found = read(self.name)
        if self.operator == "!=":
            return found != self.value
        if found is None:
            return False
        return found == self.value if self.operator == "=" else self.value in found


@dataclass(frozen=True)
class All:
    parts: tuple["Expression", ...]

    def holds(self, read: Read) -> bool:
        return all(part.holds(read) for part in self.parts)


@dataclass(frozen=True)
class Any:
    parts: tuple["Expression", ...]

    def holds(self, read: Read) -> bool:
        return any(part.holds(read) for part in self.parts)


Expression = Term | All | Any


def parse(text: str) -> Expression:
    """Raises the Refusal of a malformed query (400)."""
    return _Parser(text).expression()


class _Parser:
    def __init__(self, text: str) -> None:
        # re.split with one group gives words and operators in turn, with empty words between
        # neighbouring operators.
        pieces = _TOKEN.split(text.strip())
        self._tokens = [piece for piece in pieces if piece]
        self._at = 0

    def expression(self) -> Expression:
        found = self._any(0)
        if self._peek() is not None:
            raise malformed_query()
        return found

    def _any(self, depth: int) -> Expression:
        if depth > _DEEPEST:
            raise malformed_query()
        parts = [self._all(depth)]
        while self._peek() == "||":
            self._next()
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _all(self, depth: int) -> Expression:
        parts = [self._one(depth)]
        while self._peek() == "&&":
            self._next()
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self, depth: int) -> Expression:
        if self._peek() == "{":
            self._next()
            inner = self._any(depth + 1)
            if self._next() != "}":
                raise malformed_query()
            return inner
        name, operator = self._word(), self._next()
        if operator not in _OPERATORS:
            raise malformed_query()
        return Term(name, operator, self._word())

    def _word(self) -> str:
        token = self._next()
        if _TOKEN.fullmatch(token):
            raise malformed_query()
        return token

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise malformed_query()
        self._at += 1
        return token
