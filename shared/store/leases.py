"""Creation leases, changed by conditional writes alone."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.domain.customers import Deletion
from shared.domain.errors import CreationInProgress
from shared.domain.leases import CreationLease, LeaseRequest, seconds_until
from shared.store import keys
from shared.store.attributes import Item
from shared.store.table import ABSENT, Condition, ConditionFailed, Key, Table, delete, put

CREATING = "creating"
RELEASED = datetime.fromtimestamp(0, tz=UTC)


class Leases:
    """Methods that need the lease raise CreationInProgress while another process holds it."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def acquire(
        self, key: Key, payload: Item, subject: str, request: LeaseRequest, *, expires_at: int | None = None
    ) -> CreationLease | Item:
        """Return the lease, or the item under `key` if it is none. DynamoDB removes it at `expires_at` (seconds)."""
        expiry = {} if expires_at is None else {"expiresAt": expires_at}
        lease = CreationLease(
            subject=subject,
            creation_id=request.creation_id,
            idempotency_key=request.idempotency_key,
            key_issued_at=request.now,
            is_settled=True,
            last_sent_at=None,
            owner=request.owner,
            lease_until=request.now + request.duration,
            key=key,
            payload={**payload, **expiry},
        )
        try:
            self._table.write(put(lease_item(lease), ABSENT))
        except ConditionFailed as failure:
            existing = failure.existing or {}
            if existing.get("leaseOwner") == request.owner:
                return lease  # our own write, whose response was lost
            if existing.get("state") != CREATING:
                return existing
            held = lease_of(existing, subject)
            return self.take_over(replace(held, payload={**held.payload, **expiry}), request)
        return lease

    def take_over(self, held: CreationLease, request: LeaseRequest) -> CreationLease:
        """Acquire a lease that was released, or whose owner crashed."""
        if held.lease_until > request.now:
            raise CreationInProgress(held.subject, seconds_until(held.lease_until, request.now))
        taken = replace(held, owner=request.owner, lease_until=request.now + request.duration)
        return self._replace(held, taken, request.now)

    def rotate_key(self, lease: CreationLease, key: str, now: datetime) -> CreationLease:
        """Store a new idempotency key before its use."""
        return self._replace(lease, replace(lease, idempotency_key=key, key_issued_at=now, is_settled=True), now)

    def _replace(self, held: CreationLease, lease: CreationLease, now: datetime) -> CreationLease:
        try:
            self._table.write(put(lease_item(lease), owned_by(held)))
        except ConditionFailed as failure:
            # If the owner is ours, the item is our own write, whose response was lost.
            if (failure.existing or {}).get("leaseOwner") != lease.owner:
                raise lost(held, failure.existing, now) from failure
        return lease

    def release(self, lease: CreationLease) -> None:
        """End the lease, unless it was taken over, but keep its content, so that the next call continues at once."""
        self._table.try_write(put(lease_item(replace(lease, lease_until=RELEASED)), owned_by(lease)))

    def discard(self, lease: CreationLease) -> None:
        """Delete the lease, unless it was taken over, so that a later call starts afresh."""
        self._table.try_write(delete(lease.key, owned_by(lease)))


def owned_by(lease: CreationLease | Deletion) -> Condition:
    """Let only the owner write. Without this condition, a slow process would overwrite its successor's state."""
    return Condition("leaseOwner = :owner", {":owner": lease.owner})


def lost(lease: CreationLease, existing: Item | None, now: datetime) -> CreationInProgress:
    """Return the error for a lease that another process has taken over; `existing` is its item now."""
    return CreationInProgress(lease.subject, seconds_until(from_ms((existing or {}).get("leaseUntil", 0)), now))


def lease_item(lease: CreationLease) -> dict[str, Any]:
    return {
        **lease.payload,
        **keys.attributes(lease.key),
        "state": CREATING,
        "creationId": lease.creation_id,
        "idempotencyKey": lease.idempotency_key,
        "keyIssuedAt": to_ms(lease.key_issued_at),
        "isSettled": lease.is_settled,
        "lastSentAt": None if lease.last_sent_at is None else to_ms(lease.last_sent_at),
        "leaseOwner": lease.owner,
        "leaseUntil": to_ms(lease.lease_until),
    }


def lease_of(item: Mapping[str, Any], subject: str) -> CreationLease:
    """Read a lease. If its owner crashed, a request may have been sent until the lease ended, and may still run."""
    lease_until = from_ms(item["leaseUntil"])
    crashed = lease_until != RELEASED
    last_sent_at = from_ms(item["lastSentAt"]) if "lastSentAt" in item else None
    lease = CreationLease(
        subject=subject,
        creation_id=item["creationId"],
        idempotency_key=item["idempotencyKey"],
        key_issued_at=from_ms(item["keyIssuedAt"]),
        is_settled=item["isSettled"] and not crashed,
        last_sent_at=lease_until if crashed else last_sent_at,
        owner=item["leaseOwner"],
        lease_until=lease_until,
        key=(item["pk"], item["sk"]),
        payload={},
    )
    return replace(lease, payload={name: item[name] for name in item.keys() - lease_item(lease).keys()})


def to_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def from_ms(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC)
