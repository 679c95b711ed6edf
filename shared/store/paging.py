"""Paged queries of an index whose entries are spread over shards, with an opaque cursor."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence

from shared.domain.errors import InvalidQuery
from shared.store.attributes import Item
from shared.store.table import Table

MAX_KEY_CHARACTERS = 250
QUERY_LIMIT = 1000


class ShardedQuery:
    """A query over all shards of an index with the key `attribute` and `sort`."""

    def __init__(self, table: Table, index: str, attribute: str, sort: str, shards: Sequence[str]) -> None:
        self._table = table
        self._index = index
        self._attribute = attribute
        self._rest = ("pk", "sk", sort)
        self._shards = shards

    def page(self, limit: int, cursor: str | None) -> tuple[list[Item], str | None]:
        """Return up to `limit` entries after the cursor, and the cursor of the next page; None on the last page.

        A cursor is opaque. Raises InvalidQuery for a cursor of another list.
        """
        shard, *rest = decode(cursor) if cursor else [self._shards[0]]
        if shard not in self._shards or len(rest) not in {0, len(self._rest)}:
            raise invalid_cursor()
        start: Item | None = {self._attribute: shard, **dict(zip(self._rest, rest, strict=True))} if rest else None
        position = self._shards.index(shard)
        entries: list[Item] = []
        while True:
            page, start = self._table.query_index(
                self._index, self._attribute, self._shards[position], limit=limit - len(entries), start=start
            )
            entries.extend(page)
            if start is None:
                position += 1
            if position == len(self._shards):
                return entries, None
            if len(entries) >= limit:
                rest = [start[name] for name in self._rest] if start else []
                return entries, encode(self._shards[position], *rest)

    def all(self) -> Iterator[Item]:
        cursor = None
        while True:
            entries, cursor = self.page(QUERY_LIMIT, cursor)
            yield from entries
            if cursor is None:
                return


def encode(*parts: str) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def decode(cursor: str) -> list[str]:
    """Return the parts of a cursor. Raises InvalidQuery for a text that `encode` can't return."""
    try:
        parts = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError, RecursionError) as error:
        raise invalid_cursor() from error
    if not isinstance(parts, list) or not parts:
        raise invalid_cursor()
    if not all(isinstance(part, str) and 0 < len(part) <= MAX_KEY_CHARACTERS for part in parts):
        raise invalid_cursor()
    return parts


def invalid_cursor() -> InvalidQuery:
    return InvalidQuery("cursor", "does not belong to this list; start without a cursor")
