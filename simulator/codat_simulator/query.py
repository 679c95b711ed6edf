"""Codat's query language, as in `tags=uid=42||{region=uk&&team!=sales}`.

A term is a name, an operator (`=`, `!=` or `~` for "contains") and a value. `&&` binds tighter than `||`, and
braces group. Values are compared as text, case-sensitively.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from codat_simulator.errors import malformed_query

Reader = Callable[[str], str | None]

_TOKEN = re.compile(r"\s*(&&|\|\||\{|\}|!=|=|~)\s*")
_OPERATORS = frozenset({"=", "!=", "~"})
# Prevents a RecursionError.
_MAX_DEPTH = 50


@dataclass(frozen=True)
class Term:
    name: str
    operator: str
    value: str

    def holds(self, read: Reader) -> bool:
        actual = read(self.name)
        if self.operator == "!=":
            return actual != self.value
        if actual is None:
            return False
        return actual == self.value if self.operator == "=" else self.value in actual


@dataclass(frozen=True)
class All:
    parts: tuple["Expression", ...]

    def holds(self, read: Reader) -> bool:
        return all(part.holds(read) for part in self.parts)


@dataclass(frozen=True)
class Any:
    parts: tuple["Expression", ...]

    def holds(self, read: Reader) -> bool:
        return any(part.holds(read) for part in self.parts)


Expression = Term | All | Any


def parse(text: str) -> Expression:
    """Raise an ApiError (400) if the query is malformed."""
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        # With a group in the pattern, re.split returns words and operators alternately. Words between
        # adjacent operators are empty.
        self._tokens = [token for token in _TOKEN.split(text.strip()) if token]
        self._position = 0

    def parse(self) -> Expression:
        expression = self._any(0)
        if self._peek() is not None:
            raise malformed_query()
        return expression

    def _any(self, depth: int) -> Expression:
        if depth > _MAX_DEPTH:
            raise malformed_query()
        parts = [self._all(depth)]
        while self._peek() == "||":
            self._next()
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _all(self, depth: int) -> Expression:
        parts = [self._operand(depth)]
        while self._peek() == "&&":
            self._next()
            parts.append(self._operand(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _operand(self, depth: int) -> Expression:
        if self._peek() == "{":
            self._next()
            inner = self._any(depth + 1)
            if self._next() != "}":
                raise malformed_query()
            return inner
        name, operator, value = self._next(), self._next(), self._next()
        if operator not in _OPERATORS or _TOKEN.fullmatch(name) or _TOKEN.fullmatch(value):
            raise malformed_query()
        return Term(name, operator, value)

    def _peek(self) -> str | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise malformed_query()
        self._position += 1
        return token
