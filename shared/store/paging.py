"""Paged queries of an index whose entries are spread over shards, with an opaque cursor."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.domain.errors import InvalidQuery
from shared.domain.pages import Page
from shared.store.table import Item, Table

MAX_KEY_CHARACTERS = 250
QUERY_LIMIT = 1000


class ShardedQuery:
    """A query over all shards of an index with the key `attribute` and `sort`."""

    def __init__(self, table: Table, index: str, attribute: str, sort: str, shards: Sequence[str]) -> None:
        self._table = table
        self._index = index
        self._attribute = attribute
        self._key = {"pk", "sk", attribute, sort}
        self._shards = shards

    def page(self, limit: int, cursor: str | None) -> Page[Item]:
        """Return up to `limit` entries after the cursor. Raises InvalidQuery for a cursor of another list."""
        shard, start = self._decoded(cursor) if cursor else (self._shards[0], None)
        position = self._shards.index(shard)
        entries: list[Item] = []
        while True:
            page = self._table.query_index(
                self._index, self._attribute, self._shards[position], limit=limit - len(entries), start=start
            )
            entries.extend(page.items)
            start = page.next
            if start is None:
                position += 1
            if position == len(self._shards):
                return Page(entries, None)
            if len(entries) >= limit:
                return Page(entries, encode(self._shards[position], start))

    def all(self) -> Iterator[Item]:
        cursor: str | None = None
        while True:
            page = self.page(QUERY_LIMIT, cursor)
            yield from page.items
            cursor = page.cursor
            if cursor is None:
                return

    def _decoded(self, cursor: str) -> tuple[str, Mapping[str, Any] | None]:
        shard, start = decode(cursor)
        is_start = start is None or (set(start) == self._key and start[self._attribute] == shard)
        if shard not in self._shards or not is_start:
            raise invalid_cursor()
        return shard, start


def encode(partition: str, start: Mapping[str, Any] | None) -> str:
    return urlsafe_b64encode(json.dumps([partition, start]).encode()).decode().rstrip("=")


def decode(cursor: str) -> tuple[str, Mapping[str, Any] | None]:
    """Decode a cursor. Raises InvalidQuery for a text that `encode` can't return."""
    try:
        partition, start = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError, RecursionError) as error:
        raise invalid_cursor() from error
    is_key = start is None or (
        isinstance(start, dict)
        and start
        and all(isinstance(value, str) and 0 < len(value) <= MAX_KEY_CHARACTERS for value in start.values())
    )
    if not isinstance(partition, str) or not is_key:
        raise invalid_cursor()
    return partition, start


def invalid_cursor() -> InvalidQuery:
    return InvalidQuery("cursor", "does not belong to this list; start without a cursor")
