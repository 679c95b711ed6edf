"""Connections, written with optimistic locking on their version."""

from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, cast

from pydantic.alias_generators import to_camel

from shared.domain.connections import Connection, Source, Status
from shared.domain.customers import Ownership
from shared.domain.errors import CompanyGone
from shared.domain.initial_reads import InitialRead, ReadEvidence
from shared.domain.leases import CreationLease, LeaseRequest
from shared.domain.timeline import Actor, TimelineEntry
from shared.domain.timestamps import Timestamp, datetime_of, timestamp_of
from shared.store import keys
from shared.store.attributes import Item
from shared.store.customers import TOMBSTONE_LIFETIME, owned_pointer, ownership_of
from shared.store.leases import Leases, lost, owned_by
from shared.store.paging import ShardedQuery, decode, encode, invalid_cursor
from shared.store.table import ABSENT, MAX_WRITES, Condition, ConditionFailed, Table, check, delete, put

INDEX = "byStatus"
ATTENTION_INDEX = "byAttention"
LEASE_LIFETIME = timedelta(days=7)
"""Far longer than Codat remembers an idempotency key. DynamoDB then removes an abandoned lease of a closed company."""


class Connections:
    def __init__(self, table: Table, *, timeline_lifetime: timedelta) -> None:
        self._table = table
        self._leases = Leases(table)
        self._timeline_lifetime = timeline_lifetime

    def acquire(self, company_id: str, platform_key: str, request: LeaseRequest) -> CreationLease:
        """Return the lease on creating a connection. Raises CreationInProgress while another process holds it."""
        key = keys.connection_lease(company_id, platform_key)
        requested_at = timestamp_of(request.now)
        payload = {"companyId": company_id, "platformKey": platform_key, "requestedAt": requested_at}
        expires_at = int((request.now + LEASE_LIFETIME).timestamp())
        subject = f"A connection to platform {platform_key}"
        # Only leases have such a key.
        return cast("CreationLease", self._leases.acquire(key, payload, subject, request, expires_at=expires_at))

    def find(self, company_id: str, connection_id: str) -> Connection | None:
        """Return the connection, also a placeholder."""
        item = self._table.get(keys.connection(company_id, connection_id))
        return connection_from_item(item) if item is not None else None

    def find_with_owner(self, company_id: str, connection_id: str) -> tuple[Ownership, Connection | None]:
        """Return the company's ownership and the connection, in one read."""
        company, connection = keys.company(company_id), keys.connection(company_id, connection_id)
        items = self._table.get_many([company, connection])
        stored = connection_from_item(items[connection]) if connection in items else None
        return ownership_of(items.get(company)), stored

    def of_company(self, company_id: str) -> list[Connection]:
        """Return a company's connections without placeholders, also deleted ones, oldest first."""
        connections = [connection for connection in self._all(company_id) if not connection.is_placeholder]
        return sorted(connections, key=lambda connection: (connection.created_at, connection.connection_id))

    def page(self, status: Status, limit: int, cursor: str | None) -> tuple[list[Connection], str | None]:
        """Return a page of the connections with this status, in no order, and the cursor of the next page.

        A page may be short: the index is eventually consistent, and connections whose status has changed are left out.
        Raises InvalidQuery for a cursor of another list.
        """
        query = ShardedQuery(self._table, INDEX, "statusShard", "statusKey", keys.shards(keys.with_status(status)))
        connections, following = self._indexed(query, limit, cursor)
        return [connection for connection in connections if connection.status is status], following

    def attention_page(self, limit: int, cursor: str | None) -> tuple[list[Connection], str | None]:
        """Return a page of the connections that need a person, as `page` does."""
        shards = keys.shards(keys.ATTENTION)
        query = ShardedQuery(self._table, ATTENTION_INDEX, "attentionShard", "attentionKey", shards)
        connections, following = self._indexed(query, limit, cursor)
        return [connection for connection in connections if connection.needs_attention], following

    def _indexed(self, query: ShardedQuery, limit: int, cursor: str | None) -> tuple[list[Connection], str | None]:
        """Return the connections of a page of an index, as the table has them."""
        entries, following = query.page(limit, cursor)
        items = self._table.get_many((entry["pk"], entry["sk"]) for entry in entries)
        return list(map(connection_from_item, items.values())), following

    def timeline(
        self, connection: Connection, limit: int, cursor: str | None
    ) -> tuple[list[TimelineEntry], str | None]:
        """Return a page of a connection's history, newest first, as `page` does."""
        pk, prefix = keys.timeline(connection.company_id, connection.connection_id)
        position = decode(cursor) if cursor else None
        if position and (len(position) != 1 or not position[0].startswith(prefix)):
            raise invalid_cursor()
        start = {"pk": pk, "sk": position[0]} if position else None
        items, following = self._table.query_page(pk, prefix, limit=limit, start=start, newest_first=True)
        return [_entry(item, connection) for item in items], encode(following["sk"]) if following else None

    def tombstone(self, company_id: str, now: datetime) -> None:
        """Turn an ended company's connections into tombstones without personal data; delete its other items."""
        for connection in self._all(company_id):
            self._tombstone(connection, now)
        for pk, prefix in (
            keys.timeline(company_id),
            keys.connection_lease(company_id, ""),
            (keys.company(company_id)[0], keys.QUARANTINE),
        ):
            while items := self._table.query_page(pk, prefix, limit=MAX_WRITES)[0]:
                self._table.write(*(delete((item["pk"], item["sk"])) for item in items))

    def _tombstone(self, connection: Connection | None, now: datetime) -> None:
        while connection is not None and not connection.is_tombstone:
            tombstone = replace(
                connection,
                status=Status.DELETED,
                customer_id="",
                reported_error=None,
                is_tombstone=True,
                version=connection.version + 1,
            )
            item = {**_connection_item(tombstone), "expiresAt": int((now + TOMBSTONE_LIFETIME).timestamp())}
            if self._table.try_write(put(item, _unchanged_since(connection))):
                return
            connection = self.find(connection.company_id, connection.connection_id)

    def _all(self, company_id: str) -> list[Connection]:
        return [connection_from_item(item) for item in self._table.query(*keys.connection(company_id, ""))]

    def save(
        self, connection: Connection, entry: TimelineEntry | None, ended: CreationLease | None = None
    ) -> Connection | None:
        """Store the next version of the connection, with its timeline entry, and return it.

        `ended` is the lease on its creation, which ends in the same transaction. Returns None, without a write, if
        another process has written since: read again and merge again. Raises CreationInProgress if the lease was lost,
        CompanyGone if the connection is new and its customer does not own the company (any more).
        """
        first_version = int(datetime_of(connection.updated_at).timestamp() * 1000)
        stored = replace(connection, version=connection.version + 1 if connection.version else first_version)
        writes = [put(_connection_item(stored), _unchanged_since(connection))]
        if ended is not None:
            writes.append(delete(ended.key, owned_by(ended)))
        if not connection.version:
            # A process that is deleting the company may have listed its connections already.
            writes.append(check(keys.company(connection.company_id), owned_pointer(connection.customer_id)))
        if entry is not None:
            writes.append(put(self._entry_item(entry)))
        try:
            self._table.write(*writes)
        except ConditionFailed as failure:
            if failure.index == 0:
                return None
            if ended is not None and failure.index == 1:
                if failure.existing is None:
                    # It has ended: by our own write, whose response was lost, or by a process that took it over.
                    return self.save(connection, entry)
                raise lost(ended, failure.existing, datetime_of(connection.updated_at)) from failure
            raise CompanyGone(connection.customer_id) from failure
        return stored

    def add_entry(self, entry: TimelineEntry, customer_id: str) -> None:
        """Add an entry, unless it is stored. Raises CompanyGone if the customer doesn't own the company (any more)."""
        owner = check(keys.company(entry.company_id), owned_pointer(customer_id))
        try:
            self._table.write(owner, put(self._entry_item(entry), ABSENT))
        except ConditionFailed as failure:
            if failure.index == 0:
                raise CompanyGone(customer_id) from failure

    def _entry_item(self, entry: TimelineEntry) -> dict[str, Any]:
        return {
            **keys.attributes(keys.timeline_entry(entry.company_id, entry.connection_id, entry.at, entry.event_id)),
            "eventId": entry.event_id,
            "eventType": entry.event_type,
            "at": entry.at,
            "actor": entry.actor.kind,
            "actorId": entry.actor.identity,
            "previousStatus": entry.previous_status,
            "status": entry.status,
            "error": entry.error,
            "applied": entry.applied,
            "expiresAt": int((datetime_of(entry.at) + self._timeline_lifetime).timestamp()),
        }


def _unchanged_since(before: Connection) -> Condition:
    """Require the version that was read. Without this condition, one of two concurrent updates would be lost."""
    return Condition("version = :before", {":before": before.version}) if before.version else ABSENT


_ATTRIBUTES = {
    to_camel(field.name): field.name
    for field in fields(Connection)
    if field.name not in {"source", "severances", "evidence", "is_tombstone"}
}
"""The attributes that hold a field unchanged, under its name."""


def _connection_item(connection: Connection) -> Item:
    source, evidence = connection.source, connection.evidence
    item = {
        **keys.attributes(keys.connection(connection.company_id, connection.connection_id)),
        # An attribute without a value does not exist.
        **{attribute: getattr(connection, name) or None for attribute, name in _ATTRIBUTES.items()},
        "platformKey": source.platform_key,
        "platformName": source.platform_name,
        "sourceType": source.source_type,
        "severances": list(connection.severances) or None,
        "tombstone": connection.is_tombstone or None,
        "initialReads": [
            {
                "completedAt": read.completed_at,
                "eventId": read.event_id,
                "complete": list(read.complete),
                "failed": dict(read.failed),
            }
            for read in evidence.reads
        ]
        or None,
        "syncs": list(evidence.syncs) or None,
    }
    if not connection.is_placeholder and not connection.is_deleted:
        item["statusShard"] = keys.shard(keys.with_status(connection.status), connection.company_id)
        item["statusKey"] = f"{connection.company_id}#{connection.connection_id}"
    if connection.needs_attention:
        item["attentionShard"] = keys.shard(keys.ATTENTION, connection.company_id)
        item["attentionKey"] = f"{connection.company_id}#{connection.connection_id}"
    return item


def connection_from_item(item: Item) -> Connection:
    unchanged: dict[str, Any] = {name: item[attribute] for attribute, name in _ATTRIBUTES.items() if attribute in item}
    reads = (
        InitialRead(
            read["completedAt"], read["eventId"], tuple(read["complete"]), tuple(sorted(read["failed"].items()))
        )
        for read in item.get("initialReads", ())
    )
    return Connection(
        **{**unchanged, "status": Status(item["status"]), "version": int(item["version"])},
        source=Source(item["platformKey"], item["platformName"], item["sourceType"]),
        severances=tuple(item.get("severances", ())),
        is_tombstone=item.get("tombstone", False),
        evidence=ReadEvidence(tuple(reads), tuple(item.get("syncs", ()))),
    )


def _entry(item: Item, connection: Connection) -> TimelineEntry:
    return TimelineEntry(
        company_id=connection.company_id,
        connection_id=connection.connection_id,
        at=Timestamp(item["at"]),
        event_id=item["eventId"],
        event_type=item["eventType"],
        actor=Actor(item["actor"], item.get("actorId")),
        previous_status=Status(item["previousStatus"]) if "previousStatus" in item else None,
        status=Status(item["status"]),
        error=item.get("error"),
        applied=item["applied"],
    )
