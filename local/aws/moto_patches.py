"""Fix problems of moto 5.2.5 in processes that run for hours.

- A transaction deep-copies the whole table once for each of its writes (DynamoDBBackend.transact_write_items).
- Each model object, including each of these copies, is kept for moto's dashboard (BaseModel.instances_tracked).
- Stream records and shard iterators are kept although they have been read.
- After a failed transaction, existing shard iterators refer to the discarded table, and miss later records.
- Each request lists the directory of moto's modules, and the methods of the service.
- Each value of an item is looked for under the ten types of DynamoDB, and under aliases of their names.

Without the patches, a transaction of two writes in a table of 1,000 items takes 9 times as long and leaks 6 MB,
and a query for two items takes twice as long.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

from moto import backends
from moto.core import responses
from moto.core.common_models import BaseModel
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models.table import Table
from moto.dynamodbstreams.models import ShardIterator

if TYPE_CHECKING:
    from collections.abc import Callable


@cache
def apply() -> None:
    """Patch moto, once per process.

    Use only one reader for each stream, because a read drops the records before its position; use an iterator once.
    """
    base_model: Any = BaseModel
    base_model.__new__ = lambda cls, *_, **__: object.__new__(cls)
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    moto_responses: Any = responses
    moto_responses.method_names_from_class = cache(moto_responses.method_names_from_class)
    serializer: Any = BaseJSONSerializer
    serializer._serialize_type_structure = _attributes_by_type(serializer._serialize_type_structure)  # noqa: SLF001
    table_model: Any = Table
    table_model.__deepcopy__ = _copy_table
    iterator_model: Any = ShardIterator
    get_records = iterator_model.get

    def get(iterator: Any, limit: int = 1000) -> Any:
        shard = iterator.stream_shard
        already_read = iterator.sequence_number - shard.starting_sequence_number
        del shard.items[:already_read]
        shard.starting_sequence_number += already_read
        del iterator.streams_backend.shard_iterators[iterator.arn]
        return get_records(iterator, limit)

    iterator_model.get = get
    iterator_model.stream_shard = property(
        lambda iterator: iterator.streams_backend.dynamodb.tables[iterator.table_name].stream_shard,
        lambda iterator, shard: setattr(iterator, "table_name", shard.table.name),
    )


def _attributes_by_type(serialize_structure: Callable[..., None]) -> Callable[..., None]:
    """Serialize an attribute value by its only key, which is its type; leave other structures to moto."""

    def serialize(serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name != "AttributeValue":
            serialize_structure(serializer, serialized, value, shape, key)
            return
        [(data_type, content)] = value.items()
        serialized[key] = {}
        serializer._serialize(serialized[key], content, shape.members[data_type], data_type)  # noqa: SLF001

    return serialize


def _copy_table(table: Any, _: dict[int, Any]) -> Any:
    """Copy the table, but share its items: a put replaces an item and a delete removes it, so neither changes the copy.

    An `Update` changes the shared item, so a rollback would not undo it. The project's transactions contain none.
    """
    copied = copy.copy(table)
    copied.items = copy.copy(table.items)
    for key, items in table.items.items():
        copied.items[key] = copy.copy(items)
    if table.stream_shard is not None:
        copied.stream_shard = copy.copy(table.stream_shard)
        copied.stream_shard.table = copied
        copied.stream_shard.items = list(table.stream_shard.items)
    return copied
