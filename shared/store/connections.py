"""Connections: registers over what Codat says, written by compare-and-set on their version."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.claims import Claim, Terms
from shared.domain.connections import NEVER, Connection, Source, Stamp, Status
from shared.domain.customers import Ownership
from shared.domain.errors import CompanyGone, InvalidQuery
from shared.domain.instants import Instant, datetime_of
from shared.domain.pages import Page
from shared.domain.timeline import Actor, TimelineEntry
from shared.store import keys
from shared.store.claims import Claims, held_by, lost
from shared.store.customers import TOMBSTONE_KEPT_FOR, ownership_of
from shared.store.paging import NOT_OURS, Walk, decode, encode
from shared.store.table import ABSENT, Condition, ConditionFailed, Item, Table, Write, check, delete, put

INDEX = "byStatus"
NOT_ENDED = Condition("attribute_not_exists(ended)")


class Connections:
    def __init__(self, table: Table, *, timeline_kept_for: timedelta) -> None:
        self._table = table
        self._claims = Claims(table)
        self._timeline_kept_for = timeline_kept_for

    def claim(self, company_id: str, platform_key: str, terms: Terms) -> Claim:
        """The claim on creating a connection to this platform.

        Raises CreationInProgress while another process is at it.
        """
        place = keys.connection_claim(company_id, platform_key)
        payload = {"companyId": company_id, "platformKey": platform_key}
        taken = self._claims.take(place, payload, _subject(platform_key), terms)
        if not isinstance(taken, Claim):
            raise TypeError(f"an item that is no claim stands at {place}")
        return taken

    def abandoned_claim(self, company_id: str, platform_key: str, now: datetime) -> Claim | None:
        """The claim of a process that died; None where there is none, or its holder may be alive."""
        claim = self._claims.find(keys.connection_claim(company_id, platform_key), _subject(platform_key))
        return claim if claim is not None and claim.lease_until <= now else None

    def find(self, company_id: str, connection_id: str) -> Connection | None:
        """The register, also where nothing was heard yet but the initial read."""
        item = self._table.get(keys.connection(company_id, connection_id))
        return connection_of(item) if item is not None else None

    def find_with_owner(self, company_id: str, connection_id: str) -> tuple[Ownership, Connection | None]:
        """Whose the company is, and the connection, in one read."""
        company, connection = keys.company(company_id), keys.connection(company_id, connection_id)
        items = self._table.get_many([company, connection])
        return (
            ownership_of(items.get(company)),
            connection_of(items[connection]) if connection in items else None,
        )

    def of_company(self, company_id: str) -> list[Connection]:
        """Every connection of a company, the deleted included, oldest first."""
        return [connection for connection in self._registers(company_id) if connection.is_heard]

    def page(self, status: Status, limit: int, cursor: str | None) -> Page[Connection]:
        """Connections in this status, of all customers, in no order that means anything.

        The index is a moment behind: what has another status by now is left out, so a page may be short. Raises
        InvalidQuery where the cursor is none of ours.
        """
        walk = Walk(self._table, INDEX, "statusShard", "statusKey", keys.status_shards(status))
        page = walk.page(limit, cursor)
        items = self._table.get_many((entry["pk"], entry["sk"]) for entry in page.items)
        found = [connection_of(item) for item in items.values()]
        return Page([connection for connection in found if connection.status is status], page.cursor)

    def timeline(self, connection: Connection, limit: int, cursor: str | None) -> Page[TimelineEntry]:
        """What happened to a connection, newest first. Raises InvalidQuery where the cursor is none of ours."""
        pk, prefix = keys.timeline(connection.company_id, connection.connection_id)
        partition, start = decode(cursor) if cursor else (prefix, None)
        foreign = start is not None and (start.get("pk") != pk or not start.get("sk", "").startswith(prefix))
        if partition != prefix or foreign or (cursor and set(start or ()) != {"pk", "sk"}):
            raise InvalidQuery("cursor", NOT_OURS)
        page = self._table.query_page(pk, prefix, limit=limit, start=start, newest_first=True)
        entries = [_entry(item, connection) for item in page.items]
        return Page(entries, encode(prefix, page.next) if page.next else None)

    def bury(self, company_id: str, now: datetime) -> None:
        """Leaves tombstones of an ended company's connections, without personal data, and ends their timelines.

        Interrupted, it goes on where it was when called again.
        """
        for connection in self._registers(company_id):
            self._bury(connection, now)
        for pk, prefix in (keys.timeline(company_id), keys.connection_claim(company_id, "")):
            while items := self._table.query_page(pk, prefix, limit=500).items:
                self._table.delete_many((item["pk"], item["sk"]) for item in items)

    def _bury(self, connection: Connection, now: datetime) -> None:
        current: Connection | None = connection
        while current is not None and not current.buried:
            tombstone = replace(
                current, status=Status.DELETED, customer_id="", reason=None, buried=True, version=current.version + 1
            )
            item = {**_connection_item(tombstone), "expiresAt": int((now + TOMBSTONE_KEPT_FOR).timestamp())}
            if self._try(put(item, _unchanged_since(current))):
                return
            current = self.find(connection.company_id, connection.connection_id)

    def _registers(self, company_id: str) -> list[Connection]:
        pk, _ = keys.company(company_id)
        found = [connection_of(item) for item in self._table.query(pk, keys.CONNECTION_PREFIX)]
        return sorted(found, key=lambda connection: (connection.created_at, connection.connection_id))

    def save(
        self, connection: Connection, entry: TimelineEntry | None, ended: Claim | None = None
    ) -> Connection | None:
        """Stores the connection as the successor of the version it was read at, with its timeline entry.

        With `ended`, the claim on its creation ends in the same transaction. Returns the connection as stored; None,
        with nothing written, where somebody else has written since: read again, and merge again. Raises
        CreationInProgress where the claim was lost, CompanyGone where the company of a new connection has ended.
        """
        stored = replace(connection, version=connection.version + 1)
        writes = [put(_connection_item(stored), _unchanged_since(connection))]
        if ended is not None:
            writes.append(delete(ended.place, held_by(ended)))
        if not connection.version:
            # Whoever deletes the company may not have seen this connection: it must not outlive its company.
            writes.append(check(keys.company(connection.company_id), NOT_ENDED))
        if entry is not None:
            writes.append(put(self._entry_item(entry)))
        try:
            self._table.write(*writes)
        except ConditionFailed as failure:
            if failure.index == 0:
                return None
            if ended is not None and failure.index == 1:
                if failure.found is None:
                    # It has ended: by a write of ours whose answer was lost, or by whoever took it over.
                    return self.save(connection, entry)
                raise lost(ended, failure.found, datetime_of(connection.updated_at)) from failure
            raise CompanyGone(connection.customer_id) from failure
        return stored

    def note(self, entry: TimelineEntry) -> None:
        """Puts an entry that changed nothing into the timeline; one that is there already stays as it was."""
        self._try(put(self._entry_item(entry), ABSENT))

    def _try(self, write: Write) -> bool:
        try:
            self._table.write(write)
        except ConditionFailed:
            return False
        return True

    def _entry_item(self, entry: TimelineEntry) -> dict[str, Any]:
        pk, sk = keys.timeline_entry(entry.company_id, entry.connection_id, entry.at, entry.event_id)
        return {
            "pk": pk,
            "sk": sk,
            "eventId": entry.event_id,
            "eventType": entry.event_type,
            "at": entry.at,
            "actor": entry.actor.kind,
            "actorId": entry.actor.identity,
            "previousStatus": entry.previous_status,
            "status": entry.status,
            "reason": entry.reason,
            "applied": entry.applied,
            "expiresAt": _expiry(entry.at, self._timeline_kept_for),
        }


def _subject(platform_key: str) -> str:
    return f"A connection to platform {platform_key}"


def _unchanged_since(seen: Connection) -> Condition:
    return Condition("version = :seen", {":seen": seen.version}) if seen.version else ABSENT


def _expiry(at: Instant, kept_for: timedelta) -> int:
    return int((datetime_of(at) + kept_for).timestamp())


def _connection_item(connection: Connection) -> Item:
    pk, sk = keys.connection(connection.company_id, connection.connection_id)
    item = {
        "pk": pk,
        "sk": sk,
        "companyId": connection.company_id,
        "connectionId": connection.connection_id,
        "customerId": connection.customer_id or None,
        "platformKey": connection.source.platform_key,
        "platformName": connection.source.platform_name,
        "sourceType": connection.source.source_type,
        "createdAt": connection.created_at,
        "updatedAt": connection.updated_at,
        "status": connection.status,
        "statusStamp": connection.status_stamp,
        "reason": connection.reason,
        "reasonStamp": connection.reason_stamp,
        "heardStamp": connection.heard_stamp,
        "lastSync": connection.last_sync,
        "initialReadAt": connection.initial_read_at,
        "abandonedAt": connection.abandoned_at,
        "buried": connection.buried or None,
        "version": connection.version,
    }
    if connection.is_heard and not connection.is_deleted:
        item["statusShard"] = keys.status_shard(connection.status, connection.company_id)
        item["statusKey"] = f"{connection.company_id}#{connection.connection_id}"
    return item


def connection_of(item: Item) -> Connection:
    """The connection that an item shows."""
    return Connection(
        company_id=item["companyId"],
        connection_id=item["connectionId"],
        customer_id=item.get("customerId", ""),
        source=Source(item["platformKey"], item["platformName"], item["sourceType"]),
        created_at=Instant(item["createdAt"]),
        updated_at=Instant(item["updatedAt"]),
        status=Status(item["status"]),
        status_stamp=Stamp(item.get("statusStamp", NEVER)),
        reason=item.get("reason"),
        reason_stamp=Stamp(item.get("reasonStamp", NEVER)),
        heard_stamp=Stamp(item.get("heardStamp", NEVER)),
        last_sync=item.get("lastSync"),
        initial_read_at=item.get("initialReadAt"),
        abandoned_at=item.get("abandonedAt"),
        buried=bool(item.get("buried")),
        version=int(item["version"]),
    )


def _entry(item: Item, of: Connection) -> TimelineEntry:
    return TimelineEntry(
        company_id=of.company_id,
        connection_id=of.connection_id,
        at=Instant(item["at"]),
        event_id=item["eventId"],
        event_type=item["eventType"],
        actor=Actor(item["actor"], item.get("actorId")),
        previous_status=Status(item["previousStatus"]) if "previousStatus" in item else None,
        status=Status(item["status"]),
        reason=item.get("reason"),
        applied=item["applied"],
    )
