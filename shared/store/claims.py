"""Claims on a creation: taken, taken over, renewed, released and dropped by conditional writes alone."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.domain.claims import Claim, Terms, seconds_until
from shared.domain.errors import CreationInProgress
from shared.store.table import ABSENT, Condition, ConditionFailed, Item, Key, Table, Write, delete, put

CREATING = "creating"


class Claims:
    def __init__(self, table: Table) -> None:
        self._table = table

    def take(self, place: Key, payload: Item, subject: str, terms: Terms) -> Claim | Item:
        """The claim; or the item that stands in its place and is no claim (any more).

        Raises CreationInProgress while another process holds the lease.
        """
        claim = Claim(
            subject=subject,
            idempotency_key=terms.idempotency_key,
            key_issued_at=terms.now,
            owner=terms.owner,
            lease_until=terms.now + terms.lease,
            fresh=True,
            place=place,
            payload=payload,
        )
        try:
            self._table.write(put(_item(claim), ABSENT))
        except ConditionFailed as failure:
            found = failure.found or {}
            if found.get("leaseOwner") == terms.owner:
                return claim  # our own write, whose first answer was lost
            if found.get("state") != CREATING:
                return found
            return self.take_over(claim_of(found, subject), terms)
        return claim

    def find(self, place: Key, subject: str) -> Claim | None:
        item = self._table.get(place)
        return claim_of(item, subject) if item is not None and item.get("state") == CREATING else None

    def take_over(self, held: Claim, terms: Terms) -> Claim:
        """The claim of a holder that died. Raises CreationInProgress where it may be alive, or somebody was quicker."""
        if held.lease_until > terms.now:
            raise CreationInProgress(held.subject, held.seconds_left(terms.now))
        taken = replace(held, owner=terms.owner, lease_until=terms.now + terms.lease, fresh=False)
        try:
            self._table.write(put(_item(taken), held_by(held)))
        except ConditionFailed as failure:
            if (failure.found or {}).get("leaseOwner") != terms.owner:
                raise lost(held, failure.found, terms.now) from failure
        return taken  # also where it was our own write, whose first answer was lost

    def renew_key(self, claim: Claim, key: str, now: datetime) -> Claim:
        """The claim with a new idempotency key, written down before it is used.

        Raises CreationInProgress where the claim was lost meanwhile.
        """
        renewed = replace(claim, idempotency_key=key, key_issued_at=now, fresh=True)
        try:
            self._table.write(put(_item(renewed), held_by(claim)))
        except ConditionFailed as failure:
            raise lost(claim, failure.found, now) from failure
        return renewed

    def release(self, claim: Claim) -> None:
        """Ends the lease and keeps the key: the next call takes over at once and asks Codat under the same key."""
        released = replace(claim, lease_until=datetime.fromtimestamp(0, tz=UTC))
        self._unless_lost(put(_item(released), held_by(claim)))

    def drop(self, claim: Claim) -> None:
        """Forgets the claim: Codat has refused for good, and a corrected call starts afresh."""
        self._unless_lost(delete(claim.place, held_by(claim)))

    def _unless_lost(self, write: Write) -> None:
        try:
            self._table.write(write)
        except ConditionFailed:
            return  # another process has taken over; it is theirs to end


def held_by(claim: Claim) -> Condition:
    """Only the holder of the lease may go on: without this, a process that was slow writes over its successor."""
    return Condition("leaseOwner = :owner", {":owner": claim.owner})


def lost(claim: Claim, found: Item | None, now: datetime) -> CreationInProgress:
    """Somebody was quicker: `found` is their claim, or what came of it."""
    until = from_ms((found or {}).get("leaseUntil", 0))
    return CreationInProgress(claim.subject, seconds_until(until, now))


def _item(claim: Claim) -> dict[str, Any]:
    pk, sk = claim.place
    return {
        **claim.payload,
        "pk": pk,
        "sk": sk,
        "state": CREATING,
        "idempotencyKey": claim.idempotency_key,
        "keyIssuedAt": to_ms(claim.key_issued_at),
        "leaseOwner": claim.owner,
        "leaseUntil": to_ms(claim.lease_until),
    }


_OF_THE_CLAIM = {"pk", "sk", "state", "idempotencyKey", "keyIssuedAt", "leaseOwner", "leaseUntil"}


def claim_of(item: Mapping[str, Any], subject: str) -> Claim:
    return Claim(
        subject=subject,
        idempotency_key=item["idempotencyKey"],
        key_issued_at=from_ms(item["keyIssuedAt"]),
        owner=item["leaseOwner"],
        lease_until=from_ms(item["leaseUntil"]),
        fresh=False,
        place=(item["pk"], item["sk"]),
        payload={name: value for name, value in item.items() if name not in _OF_THE_CLAIM},
    )


def to_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def from_ms(milliseconds: Any) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC)
