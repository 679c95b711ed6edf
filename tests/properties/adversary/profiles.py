"""Which name, description and tags a customer can have, given the answers to the calls that set them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from itertools import count
from typing import Any

FIELDS = ("name", "description", "tags")

CallResult = tuple[int, Mapping[str, str], Any]
"""Status, headers and document."""


class Outcome(Enum):
    ACKNOWLEDGED = auto()
    REJECTED = auto()
    """By Codat: the profile is that of before."""
    WITHOUT_EFFECT = auto()
    UNKNOWN = auto()


@dataclass(eq=False)
class ProfileWrite:
    """One call that sets a profile or parts of it, in the order of `ProfileLog.now`."""

    customer_id: str
    values: Mapping[str, Any]
    began: int
    ended: int = sys.maxsize
    outcome: Outcome = Outcome.UNKNOWN
    created_at: str | None = None
    """Of the customer, if it was acknowledged: the same id can be created again."""
    was_lost: bool = False
    """The table has lost the customer, and the backup is older."""

    def overlaps(self, other: "ProfileWrite") -> bool:
        return self.began < other.ended and other.began < self.ended


class ProfileLog:
    def __init__(self) -> None:
        self._writes: list[ProfileWrite] = []
        self._clock = count(1)

    def now(self) -> int:
        """Return the next moment. No two calls have the same."""
        return next(self._clock)

    def begin(self, customer_id: str, values: Mapping[str, Any]) -> ProfileWrite:
        write = ProfileWrite(customer_id, values, self.now())
        self._writes.append(write)
        return write

    def end(self, write: ProfileWrite, result: CallResult | None) -> None:
        """Note the call's result; None if it crashed."""
        write.ended = self.now()
        if result is None or write.was_lost:
            return
        status, _, document = result
        if status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            write.outcome, write.created_at = Outcome.ACKNOWLEDGED, document["createdAt"]
        elif document["type"] == "codat-rejected" and f"answered {HTTPStatus.BAD_REQUEST}" in document["detail"]:
            write.outcome = Outcome.REJECTED
        elif status in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}:
            write.outcome = Outcome.WITHOUT_EFFECT

    def lose(self, customer_id: str, backed_up_at: int) -> None:
        """Note that the table has lost the customer: what came after the backup may be lost too."""
        for write in self._writes:
            if write.customer_id == customer_id and write.ended > backed_up_at:
                write.was_lost, write.outcome = True, Outcome.UNKNOWN

    def is_alone(self, write: ProfileWrite) -> bool:
        """Return whether no other write to the customer was in progress meanwhile."""
        return not any(
            other is not write and other.outcome is not Outcome.WITHOUT_EFFECT and write.overlaps(other)
            for other in self._of(write.customer_id)
        )

    def possible(self, customer_id: str, created_at: str) -> dict[str, list[Any]]:
        """Return the possible values of each field; a field that no acknowledged write has set is left out.

        A value is possible unless a write that was acknowledged, and began after it ended, has replaced it.
        """
        writes = [
            write
            for write in self._of(customer_id)
            if write.created_at in {None, created_at}
            and write.outcome is not Outcome.WITHOUT_EFFECT
            and (write.outcome is not Outcome.REJECTED or not self.is_alone(write))
        ]
        possible = {}
        for field in FIELDS:
            setting = [write for write in writes if field in write.values]
            acknowledged = [write for write in setting if write.outcome is Outcome.ACKNOWLEDGED]
            if acknowledged:
                newest = max(write.began for write in acknowledged)
                possible[field] = [write.values[field] for write in setting if write.ended > newest]
        return possible

    def _of(self, customer_id: str) -> list[ProfileWrite]:
        return [write for write in self._writes if write.customer_id == customer_id]
