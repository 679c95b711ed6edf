"""What moto keeps and copies: made for tests of a second, it is asked here for minutes or days.

It copies a whole table for every transaction, each item of it, and lists all that it ever made for a dashboard that
nobody opens; it never forgets a record of a stream, or an iterator over it. Together that is gigabytes within
minutes, and transactions that take longer by each item that there is.

moto's own modules are imported only where they are used: they are slow to import.
"""

from __future__ import annotations

import copy
from collections import deque
from typing import Any


def spare() -> None:
    """From now on moto lists nothing, and copies of a table share its items.

    Sharing is right as long as items are put and deleted, which replaces them: only an `Update` changes one in
    place, and would show in the copy. None of ours is part of a transaction.
    """
    from moto.core import base_backend  # noqa: PLC0415
    from moto.dynamodb.models import table  # noqa: PLC0415
    from moto.dynamodbstreams import models as streams  # noqa: PLC0415
    from moto.sqs import models as _  # noqa: F401, PLC0415

    all_models: dict[str, dict[str, Any]] = vars(base_backend)["model_data"]
    for models in all_models.values():
        for model in models.values():
            model.instances_tracked = deque(maxlen=0)
    table_model: Any = table.Table
    table_model.__deepcopy__ = _copied
    iterator_model: Any = streams.ShardIterator
    iterator_model.stream_shard = property(_current_shard, _remember_table)


def forget_stream(stream_arn: str, through: str | None) -> None:
    """Drops a stream's iterators, and its records up to a sequence number. Nobody else may be at moto meanwhile."""
    from moto.dynamodb.models import dynamodb_backends  # noqa: PLC0415
    from moto.dynamodbstreams.models import dynamodbstreams_backends  # noqa: PLC0415

    _, _, _, region, account_id, resource = stream_arn.split(":", 5)
    dynamodbstreams_backends[account_id][region].shard_iterators.clear()
    if through is None:
        return
    shard: Any = dynamodb_backends[account_id][region].tables[resource.split("/")[1]].stream_shard
    read = int(through) + 1 - shard.starting_sequence_number
    del shard.items[:read]
    shard.starting_sequence_number += read


def _copied(table: Any, _: dict[int, Any]) -> Any:
    copied = copy.copy(table)
    copied.items = copy.copy(table.items)
    for key, items in table.items.items():
        copied.items[key] = copy.copy(items)
    if table.stream_shard is not None:
        copied.stream_shard = copy.copy(table.stream_shard)
        copied.stream_shard.table = copied
        copied.stream_shard.items = list(table.stream_shard.items)
    return copied


def _current_shard(iterator: Any) -> Any:
    """Not the one that the iterator was made for: a transaction that fails puts its copy of the table in place, and
    the shard of before holds what was rolled back.
    """
    return iterator.streams_backend.dynamodb.tables[iterator.table_name].stream_shard


def _remember_table(iterator: Any, shard: Any) -> None:
    iterator.table_name = shard.table.name
