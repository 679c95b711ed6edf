"""The table at the start of a test: empty, or with the API key that the deployment trusts.

A request to moto takes 5 ms and would be the largest part of many tests. So moto's items are replaced directly.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import dynamodb_backends

from local.aws import moto_server
from shared.codat.transport import api_key_fingerprint
from shared.store.api_keys import ApiKeys
from shared.store.table import Table

if TYPE_CHECKING:
    from local.running import Stack

_Items = dict[str, dict[str, Any]]
"""By partition key and sort key. moto replaces an item instead of changing it, so that tables can share items."""


class FreshTable:
    def __init__(self, stack: Stack) -> None:
        self._dynamodb = stack.dynamodb
        self._name = stack.table_name
        self._fingerprint = api_key_fingerprint(stack.settings.codat_api_key)
        self._is_moto = stack.settings.dynamodb_endpoint is None
        self._trusting: _Items = {}
        """The items of a trusted API key, once they were stored."""
        arn = self._dynamodb.describe_table(TableName=self._name)["Table"]["TableArn"]
        _, _, _, self._region, self._account, _ = arn.split(":")

    def empty(self) -> None:
        if self._is_moto:
            self._replace({})
            return
        while items := self._dynamodb.scan(TableName=self._name)["Items"]:
            for item in items:
                self._dynamodb.delete_item(TableName=self._name, Key={"pk": item["pk"], "sk": item["sk"]})

    def empty_but_for_trust(self) -> None:
        """Delete everything, and trust the API key of the stack."""
        if self._trusting:
            self._replace(self._trusting)
            return
        self.empty()
        ApiKeys(Table(self._dynamodb, self._name)).trust_first(self._fingerprint, datetime.now(UTC))
        if self._is_moto:
            self._trusting = {pk: dict(items) for pk, items in self._moto.items.items()}

    def _replace(self, items: _Items) -> None:
        """Replace all items. The stream gets no records of this."""
        with moto_server._lock:
            self._moto.items = defaultdict(dict, {pk: dict(partition) for pk, partition in items.items()})

    @property
    def _moto(self) -> Any:
        return dynamodb_backends[self._account][self._region].tables[self._name]
