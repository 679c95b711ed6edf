"""Connections: registers over what Codat says, written by compare-and-set on their version."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.claims import Claim, Terms
from shared.domain.connections import NEVER, Connection, Source, Stamp, Status
from shared.domain.instants import Instant, datetime_of
from shared.domain.timeline import TimelineEntry
from shared.store import keys
from shared.store.claims import Claims, held_by, lost
from shared.store.table import ABSENT, Condition, ConditionFailed, Item, Table, delete, put


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
        item = self._table.get(keys.connection(company_id, connection_id))
        return _connection(item) if item is not None else None

    def find_with_owner(self, company_id: str, connection_id: str) -> tuple[str | None, Connection | None]:
        """The customer whose company it is, and the connection; in one read, each None where unknown."""
        company, connection = keys.company(company_id), keys.connection(company_id, connection_id)
        items = self._table.get_many([company, connection])
        return (
            items[company]["customerId"] if company in items else None,
            _connection(items[connection]) if connection in items else None,
        )

    def of_company(self, company_id: str) -> list[Connection]:
        """Every connection of a company, the deleted included, oldest first."""
        pk, _ = keys.company(company_id)
        found = [_connection(item) for item in self._table.query(pk, keys.CONNECTION_PREFIX)]
        return sorted(found, key=lambda connection: (connection.created_at, connection.connection_id))

    def save(
        self, connection: Connection, entry: TimelineEntry | None, ended: Claim | None = None
    ) -> Connection | None:
        """Stores the connection as the successor of the version it was read at, with its timeline entry.

        With `ended`, the claim on its creation ends in the same transaction. Returns the connection as stored; None,
        with nothing written, where somebody else has written since: read again, and merge again. Raises
        CreationInProgress where the claim was lost.
        """
        stored = replace(connection, version=connection.version + 1)
        unchanged = Condition("version = :seen", {":seen": connection.version}) if connection.version else ABSENT
        writes = [put(_connection_item(stored), unchanged)]
        if ended is not None:
            writes.append(delete(ended.place, held_by(ended)))
        if entry is not None:
            writes.append(put(self._entry_item(entry)))
        try:
            self._table.write(*writes)
        except ConditionFailed as failure:
            if ended is not None and failure.index == 1:
                raise lost(ended, failure.found, datetime_of(connection.updated_at)) from failure
            return None
        return stored

    def note(self, entry: TimelineEntry) -> None:
        """Puts an entry that changed nothing into the timeline; one that is there already stays as it was."""
        try:
            self._table.write(put(self._entry_item(entry), ABSENT))
        except ConditionFailed:
            return

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


def _expiry(at: Instant, kept_for: timedelta) -> int:
    return int((datetime_of(at) + kept_for).timestamp())


def _connection_item(connection: Connection) -> Item:
    pk, sk = keys.connection(connection.company_id, connection.connection_id)
    item = {
        "pk": pk,
        "sk": sk,
        "companyId": connection.company_id,
        "connectionId": connection.connection_id,
        "customerId": connection.customer_id,
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
        "version": connection.version,
    }
    if not connection.is_deleted:
        item["statusShard"] = keys.status_shard(connection.status, connection.company_id)
        item["statusKey"] = f"{connection.company_id}#{connection.connection_id}"
    return item


def _connection(item: Item) -> Connection:
    return Connection(
        company_id=item["companyId"],
        connection_id=item["connectionId"],
        customer_id=item["customerId"],
        source=Source(item["platformKey"], item["platformName"], item["sourceType"]),
        created_at=Instant(item["createdAt"]),
        updated_at=Instant(item["updatedAt"]),
        status=Status(item["status"]),
        status_stamp=Stamp(item.get("statusStamp", NEVER)),
        reason=item.get("reason"),
        reason_stamp=Stamp(item.get("reasonStamp", NEVER)),
        heard_stamp=Stamp(item["heardStamp"]),
        last_sync=item.get("lastSync"),
        initial_read_at=item.get("initialReadAt"),
        version=int(item["version"]),
    )
