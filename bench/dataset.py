"""A dataset of companies and connections in the simulated Codat and in the table, and their differences."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from codat_simulator.clock import in_seconds
from codat_simulator.models import LinkError
from codat_simulator.state import CompanyChange

from shared.codat.transport import api_key_fingerprint
from shared.domain.connections import Precedence, Source, Status, StatusUpdate, stamp
from shared.domain.customers import Profile
from shared.domain.leases import CreationLease, LeaseRequest
from shared.domain.platforms import Platform, PlatformList
from shared.domain.timeline import Actor
from shared.domain.timestamps import timestamp, timestamp_of
from shared.services.connection_state import record_update
from shared.services.context import Context
from shared.services.platform_catalog import PlatformCache, PlatformCatalog
from shared.store.api_keys import ApiKeys
from shared.store.connections import Connections
from shared.store.customers import Customers
from shared.store.invitations import Invitations
from shared.store.platforms import Platforms
from shared.store.table import Key, Table, Write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codat_simulator.models import Company, Connection
    from codat_simulator.state import State
    from mypy_boto3_dynamodb import DynamoDBClient

_PLATFORMS = ("qhyg", "gbol", "knfz", "akxx", "pdvj", "pqsw")
_STATUSES = ("Linked", "Unlinked", "PendingAuth", "Deauthorized")
_BATCH = 25
_AGE = timedelta(hours=1)
"""Of the last update of every connection."""
_REVOKED = "The integration de-authorized access to the connection."


class NoTelemetry:
    """Drop the metrics and log lines that are caused by filling the table."""

    def count(self, metric: str, **dimensions: str) -> None:
        pass

    def measure(self, metric: str, value: float) -> None:
        pass

    def measure_seconds(self, metric: str, seconds: float) -> None:
        pass

    def warn(self, message: str, **keys: object) -> None:
        pass

    def note(self, **ids: str | None) -> None:
        pass


class EmptyTable(Table):
    """Write to an empty table in batches, without conditions: in an empty table all of them are met."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        super().__init__(client, name)
        self._dynamodb = client
        self._table = name
        self._buffer: dict[Key, Mapping[str, Any]] = {}

    def write(self, *writes: Write) -> None:
        for write in writes:
            if write.item is not None:
                self._buffer[write.key] = write.item
        if len(self._buffer) > 4 * _BATCH:
            self.flush()

    def flush(self) -> None:
        serialize = TypeSerializer().serialize
        items = list(self._buffer.values())
        self._buffer.clear()
        for start in range(0, len(items), _BATCH):
            puts: Any = [
                {"PutRequest": {"Item": {name: serialize(value) for name, value in item.items() if value is not None}}}
                for item in items[start : start + _BATCH]
            ]
            while puts:
                response = self._dynamodb.batch_write_item(RequestItems={self._table: puts})
                puts = response["UnprocessedItems"].get(self._table)


@dataclass(frozen=True)
class Difference:
    """The keys of customers and connections that are not the same in the table and at Codat."""

    only_in_table: list[str]
    only_at_codat: list[str]
    different: list[str]

    @property
    def count(self) -> int:
        return len(self.only_in_table) + len(self.only_at_codat) + len(self.different)


class Dataset:
    def __init__(self, state: State, client: DynamoDBClient, table_name: str, *, api_key: str, seed: int) -> None:
        self._state = state
        self._client = client
        self._table_name = table_name
        self._fingerprint = api_key_fingerprint(api_key)
        self._random = random.Random(seed)  # noqa: S311 - reproducible, and not for security

    def fill(self, companies: int, connections_each: int) -> None:
        """Create the same companies and connections at Codat and in the table."""
        table = EmptyTable(self._client, self._table_name)
        customers = Customers(table)
        updated_at = datetime.now(UTC) - _AGE
        ApiKeys(table).trust(self._fingerprint, "bench", updated_at)
        integrations = self._state.platforms.values()
        platforms = [Platform(each.key, each.name, each.source_type, "", each.offline) for each in integrations]
        enabled = PlatformList(tuple(platforms), timestamp_of(updated_at))
        context = Context(
            actor=Actor("webhook"),
            telemetry=NoTelemetry(),
            now=lambda: updated_at,
            new_id=self._id,
            customers=customers,
            connections=Connections(table, timeline_lifetime=timedelta(days=400)),
            invitations=Invitations(table),
            platforms=PlatformCatalog(Platforms(table), lambda: updated_at, PlatformCache(enabled, updated_at)),
        )
        for number in range(companies):
            company = self._company(number, connections_each, updated_at)
            request = LeaseRequest(updated_at, timedelta(minutes=1), self._id(), self._id(), self._id())
            lease = customers.acquire(company.tags["uid"], Profile(company.name), request)
            assert isinstance(lease, CreationLease)
            customers.activate(lease, company.id, updated_at, {})
            for connection in company.connections.values():
                record_update(
                    _update(connection, updated_at, self._id()),
                    context,
                    customer_id=company.tags["uid"],
                    event_type="connection.created",
                    stored=None,
                )
        table.flush()

    def change_codat(self, share: float, companies: int) -> Counter[str]:
        """Change this share of the connections, and delete companies, at Codat only. Return the counts by change."""
        changes: Counter[str] = Counter()
        connections = [connection for company in self._state.companies() for connection in company.connections.values()]
        for connection in self._random.sample(connections, round(share * len(connections))):
            changes[self._change(connection)] += 1
        for company in self._random.sample(self._state.companies(), companies):
            self._state.delete_company(company.id)
            changes["company deleted"] += 1
        return changes

    def difference(self) -> Difference:
        """Compare the table with Codat: customers with their companies, connections with status and error."""
        stored, actual = dict(self._stored()), dict(self._actual())
        return Difference(
            only_in_table=sorted(stored.keys() - actual.keys()),
            only_at_codat=sorted(actual.keys() - stored.keys()),
            different=sorted(key for key in stored.keys() & actual.keys() if stored[key] != actual[key]),
        )

    def _company(self, number: int, connections: int, at: datetime) -> Company:
        company = self._state.create_company(CompanyChange(name=f"Company {number}", tags={"uid": self._id()}))
        for position in range(connections):
            platform = _PLATFORMS[(number + position) % len(_PLATFORMS)]
            connection = self._state.create_connection(company.id, platform)
            connection.created = at
            set_status(connection, _STATUSES[(number + position) % len(_STATUSES) if position else 0], at)
        return company

    def _change(self, connection: Connection) -> str:
        now = datetime.now(UTC)
        match self._random.choice(("status", "status", "status", "deleted", "linked again")):
            case "status":
                statuses = {"Linked", "Unlinked", "Deauthorized"} - {connection.status}
                status = self._random.choice(sorted(statuses))
                before = connection.status
                set_status(connection, status, now)
                return f"{before} to {status}"
            case "deleted":
                self._state.delete_connection(connection.company_id, connection.id)
                return "connection deleted"
            case _:
                self._state.delete_connection(connection.company_id, connection.id)
                set_status(self._state.create_connection(connection.company_id, connection.platform.key), "Linked", now)
                return "connection deleted and linked again"

    def _stored(self) -> Iterator[tuple[str, Any]]:
        deserialize = TypeDeserializer().deserialize
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table_name,
            ConsistentRead=True,
            ProjectionExpression="sk, companyId, connectionId, customerId, #status, reportedError",
            FilterExpression="sk = :customer OR begins_with(sk, :connection)",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":customer": {"S": "CUSTOMER"}, ":connection": {"S": "CONNECTION#"}},
        )
        for item in (item for page in pages for item in page["Items"]):
            record = {name: deserialize(value) for name, value in item.items()}
            if record["sk"] == "CUSTOMER":
                yield f"customer {record['customerId']}", record["companyId"]
            elif record["status"] != Status.DELETED:
                error = record.get("reportedError") if record["status"] == Status.DEAUTHORIZED else None
                values = (record["customerId"], record["companyId"], record["status"], error)
                yield f"connection {record['connectionId']}", values

    def _actual(self) -> Iterator[tuple[str, Any]]:
        for company in self._state.companies():
            uid = company.tags["uid"]
            yield f"customer {uid}", company.id
            for connection in company.connections.values():
                error = connection.error if connection.status == "Deauthorized" else None
                values = (uid, company.id, connection.status, error and error.message)
                yield f"connection {connection.id}", values

    def _id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def set_status(connection: Connection, status: Any, at: datetime) -> None:
    connection.status = status
    connection.ever_linked = connection.ever_linked or status != Status.PENDING_AUTH
    revoked = LinkError(status_code="401", status_text=_REVOKED, message=_REVOKED, at=at)
    connection.error = revoked if status == Status.DEAUTHORIZED else None


def _update(connection: Connection, at: datetime, event_id: str) -> StatusUpdate:
    platform = connection.platform
    return StatusUpdate(
        stamp=stamp(timestamp_of(at), Precedence.EVENT, event_id),
        company_id=connection.company_id,
        connection_id=connection.id,
        source=Source(platform.key, platform.name, platform.source_type),
        created_at=timestamp(in_seconds(connection.created)),
        status=Status(connection.status),
        error=connection.error.message if connection.error else None,
    )
