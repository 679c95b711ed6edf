"""Customers, the leases on their creation, their deletion, and the pointer from a company to its customer."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from shared.domain.customers import Company, Customer, Deletion, Ownership, Profile, adopter_digest, profile_of
from shared.domain.errors import CompanyTaken, DeletionInProgress, StoreUnavailable
from shared.domain.leases import CreationLease, LeaseRequest, seconds_until
from shared.domain.pages import Page
from shared.domain.timestamps import Timestamp, timestamp_of
from shared.store import keys
from shared.store.leases import CREATING, Leases, from_ms, lease_item, lease_of, lost, owned_by, to_ms
from shared.store.paging import ShardedQuery
from shared.store.table import Condition, ConditionFailed, Item, Table, Write, delete, put

ACTIVE = "active"
DELETING = "deleting"
RESTORING = "restoring"
"""A customer whose connections are being restored from a backup: calls and webhooks wait until all are there."""
INDEX = "byCustomer"
TOMBSTONE_LIFETIME = timedelta(days=30)
"""Longer than Codat retries a webhook."""
DISCARDED_LIFETIME = timedelta(days=7)
"""Longer than a request can run at Codat, and several reconciles."""


class Customers:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._leases = Leases(table)
        self._query = ShardedQuery(table, INDEX, "customerShard", "customerId", keys.customer_shards())

    def acquire(
        self,
        customer_id: str,
        profile: Profile,
        request: LeaseRequest,
        company_id: str | None = None,
        *,
        profile_unset: bool = False,
    ) -> CreationLease | Customer:
        """Return the lease on the customer's creation, or the customer if it exists.

        With `company_id` the lease is on the adoption of that company; with `profile_unset` the app has not asked for
        it. Raises CreationInProgress and DeletionInProgress while another process is doing it.
        """
        payload = {
            "customerId": customer_id,
            "customerShard": keys.customer_shard(customer_id),
            "adoptedCompanyId": company_id,
            "profileUnset": profile_unset or None,
            **_profile_attributes(profile),
        }
        acquired = self._leases.acquire(keys.customer(customer_id), payload, f"Customer {customer_id}", request)
        if isinstance(acquired, CreationLease):
            return acquired
        _require_restored(acquired)
        if acquired["state"] == DELETING:
            raise _deleting(acquired, request.now)
        return _customer(acquired)

    def activate(
        self, lease: CreationLease, company_id: str, now: datetime, existing_tags: Mapping[str, str]
    ) -> Customer:
        """Turn the lease into a customer and point its company to it, both or neither.

        Repeated after a lost answer it returns the same. Raises CreationInProgress if the lease was lost, CompanyTaken
        if the company is another customer's, or deleted.
        """
        customer = Customer(
            customer_id=lease.payload["customerId"],
            company_id=company_id,
            profile=profile_of(lease.payload),
            created_at=timestamp_of(now),
            updated_at=timestamp_of(now),
            version=to_ms(now),
            profile_unset=bool(lease.payload.get("profileUnset")),
            existing_tags=existing_tags,
        )
        try:
            self._table.write(put(_customer_item(customer), owned_by(lease)), _point(company_id, customer.customer_id))
        except ConditionFailed as failure:
            if failure.index == 1:
                raise CompanyTaken(company_id) from failure
            stored = self.find(customer.customer_id)
            if stored is None:
                raise lost(lease, failure.existing, now) from failure
            return stored
        return customer

    def reserve(self, lease: CreationLease, company: Company, now: datetime) -> CreationLease:
        """Point the company to the lease's customer, and keep in the lease what the company was before.

        What the lease keeps already stays: by now the company may have changed. Raises CompanyTaken if the company is
        another customer's, or deleted; CreationInProgress if the lease was lost.
        """
        customer_id = lease.payload["customerId"]
        if "before" not in lease.payload:
            lease = replace(lease, payload={**lease.payload, "before": _before(company)})
        try:
            self._table.write(
                put(lease_item(lease), owned_by(lease)), _point(company.company_id, customer_id, reserved=True)
            )
        except ConditionFailed as failure:
            if failure.index == 1:
                raise CompanyTaken(company.company_id) from failure
            raise lost(lease, failure.existing, now) from failure
        return lease

    def discard_adoption(self, lease: CreationLease, now: datetime) -> None:
        """Delete the lease and its reservation; neither if another process has taken over.

        The pointer keeps for a while what the company was before: a request of the adoption may still be running and
        change the company after it was restored. Then reconcile restores it again. A company that had the customer's
        tag before is recognized by nothing afterwards, so its pointer is deleted.
        """
        company_id, customer_id = lease.payload["adoptedCompanyId"], lease.payload["customerId"]
        reserved = Condition(f"{_IS_THEIRS} AND reserved = :yes", {":theirs": customer_id, ":yes": True})
        before = dict(lease.payload.get("before", {}))
        if before.pop("taggedCustomerId", None) is not None:
            pointer = delete(keys.company(company_id), reserved)
        else:
            discarded = {
                **_pointer(company_id),
                "discarded": {**before, "adopter": adopter_digest(company_id, customer_id)},
                "expiresAt": int((now + DISCARDED_LIFETIME).timestamp()),
            }
            pointer = put(discarded, reserved)
        try:
            self._table.write(delete(lease.key, owned_by(lease)), pointer)
        except ConditionFailed as failure:
            if failure.index == 1:
                self._leases.discard(lease)

    def find(self, customer_id: str) -> Customer | None:
        """Return the active customer, or None."""
        item = self._item(customer_id)
        return _customer(item) if item is not None and item["state"] == ACTIVE else None

    def exists(self, customer_id: str) -> bool:
        """Return whether the id is in use: for a customer, or its creation or deletion."""
        return self._table.get(keys.customer(customer_id)) is not None

    def find_many(self, customer_ids: Iterable[str]) -> list[Customer]:
        """Return the active customers among at most 100 ids."""
        return [_customer(item) for item in self._items(customer_ids) if item["state"] == ACTIVE]

    def unfinished(self, customer_ids: Iterable[str]) -> list[str]:
        """Return those of at most 100 ids whose creation or deletion was begun and not finished."""
        return [item["customerId"] for item in self._items(customer_ids) if item["state"] in {CREATING, DELETING}]

    def ownership(self, company_id: str) -> Ownership:
        """Return what the company's pointer says."""
        return ownership_of(self._table.get(keys.company(company_id)))

    def restore_pointer(self, customer: Customer) -> bool:
        """Point the company to its customer again; False if the company is another customer's, or deleted."""
        return self._try(_point(customer.company_id, customer.customer_id))

    def change(self, changed: Customer, before: Customer) -> bool:
        """Store a change; False, with nothing written, if another process has changed the customer since `before`."""
        return self._try(put(_customer_item(changed), _unchanged_since(before)))

    def mark_synced(self, sent: Customer) -> bool:
        """Record that Codat confirmed the profile; False if the customer has changed since."""
        return self._try(put(_customer_item(replace(sent, confirmed_profile=None)), _unchanged_since(sent)))

    def page(self, limit: int, cursor: str | None) -> Page[Customer]:
        """Return customers in no particular order. Raises InvalidQuery if the cursor is not from here."""
        page = self._query.page(limit, cursor)
        return Page(self.find_many(entry["customerId"] for entry in page.items), page.cursor)

    def has_any(self) -> bool:
        """Return whether there is a customer, also one that is being deleted."""
        ids = self.all_ids()
        while batch := list(islice(ids, 100)):
            if any(item["state"] != CREATING for item in self._items(batch)):
                return True
        return False

    def all_ids(self) -> Iterator[str]:
        """Yield the id of every customer, also of those being created or deleted."""
        return (entry["customerId"] for entry in self._query.all())

    def take_over_creation(self, customer_id: str, request: LeaseRequest) -> CreationLease | None:
        """Acquire the lease of an unfinished creation; None if there is none.

        Raises CreationInProgress while another process holds it.
        """
        item = self._item(customer_id)
        if item is None or item["state"] != CREATING:
            return None
        return self._leases.take_over(lease_of(item, f"Customer {customer_id}"), request)

    def begin_deletion(self, customer_id: str, request: LeaseRequest) -> Deletion | None:
        """Store the deletion before Codat is asked; None if there is no such customer, or it is still being created.

        Raises DeletionInProgress while another process is doing it.
        """
        return self._deletion(customer_id, request, {ACTIVE, DELETING})

    def resume_deletion(self, customer_id: str, request: LeaseRequest) -> Deletion | None:
        """Continue a deletion that was begun; None if there is none any more.

        The customer may have been created again since, and that one was not asked to be deleted. Raises
        DeletionInProgress while another process is doing it.
        """
        return self._deletion(customer_id, request, {DELETING})

    def _deletion(self, customer_id: str, request: LeaseRequest, states: set[str]) -> Deletion | None:
        item = self._item(customer_id)
        while item is not None and item["state"] in states:
            if item.get("leaseOwner") == request.owner:
                return Deletion(customer_id, item["companyId"], request.owner)
            item = self._begin_deletion(item, request)
        return None

    def _begin_deletion(self, item: Item, request: LeaseRequest) -> Item | None:
        """Return the item as it is now: ours, also if the write's answer was lost, or what another process wrote.

        Raises DeletionInProgress while another process holds the lease.
        """
        if item["state"] == DELETING and from_ms(item["leaseUntil"]) > request.now:
            raise _deleting(item, request.now)
        begun = {
            **item,
            "state": DELETING,
            "version": item["version"] + 1,
            "leaseOwner": request.owner,
            "leaseUntil": to_ms(request.now + request.duration),
        }
        try:
            self._table.write(put(begun, Condition("version = :before", {":before": item["version"]})))
        except ConditionFailed as failure:
            return failure.existing
        return begun

    def release_deletion(self, deletion: Deletion) -> None:
        """End the lease: the same call, repeated, continues at once."""
        item = self._table.get(keys.customer(deletion.customer_id))
        if item is not None and item.get("leaseOwner") == deletion.owner:
            self._try(put({**item, "leaseUntil": 0}, Condition("leaseOwner = :owner", {":owner": deletion.owner})))

    def close_company(self, company_id: str, customer_id: str) -> None:
        """Mark the company as ended: from now on no late event brings it, or a connection of it, back."""
        ended = {**_pointer(company_id), "customerId": customer_id, "ended": True}
        # If another process has done all of it, its tombstone stays: it contains no customer, and expires.
        self._try(put(ended, Condition("attribute_not_exists(expiresAt)")))

    def delete(self, company_id: str, customer_id: str, now: datetime) -> None:
        """Delete the customer of an ended company, and leave a tombstone of the company without personal data.

        A customer that has another company by now stays.
        """
        until = int((now + TOMBSTONE_LIFETIME).timestamp())
        tombstone = put({**_pointer(company_id), "ended": True, "expiresAt": until})
        theirs = Condition("attribute_not_exists(pk) OR companyId = :company", {":company": company_id})
        try:
            self._table.write(delete(keys.customer(customer_id), theirs), tombstone)
        except ConditionFailed:
            self._table.write(tombstone)

    def _item(self, customer_id: str) -> Item | None:
        item = self._table.get(keys.customer(customer_id))
        if item is not None:
            _require_restored(item)
        return item

    def _items(self, customer_ids: Iterable[str]) -> list[Item]:
        return list(self._table.get_many(map(keys.customer, customer_ids)).values())

    def _try(self, write: Write) -> bool:
        try:
            self._table.write(write)
        except ConditionFailed:
            return False
        return True


def ownership_of(pointer: Item | None) -> Ownership:
    pointer = pointer or {}
    return Ownership(
        pointer.get("customerId"),
        is_reserved=bool(pointer.get("reserved")),
        has_ended=bool(pointer.get("ended")),
        is_restoring=bool(pointer.get("restoring")),
        discarded=pointer.get("discarded"),
    )


def _require_restored(item: Item) -> None:
    """Raise StoreUnavailable if the customer is being restored from a backup."""
    if item["state"] == RESTORING:
        raise StoreUnavailable(f"Customer {item['customerId']} is being restored from a backup.")


def customer_from_item(item: Item) -> Customer | None:
    """Read a customer; None if it is still being created, or restored."""
    return _customer(item) if item["state"] in {ACTIVE, DELETING} else None


def owned_pointer(customer_id: str) -> Condition:
    """Require that the pointer names the customer as owner. Without this condition, a late write would outlive it."""
    return Condition(f"{_IS_THEIRS} AND attribute_not_exists(reserved)", {":theirs": customer_id})


def _deleting(item: Item, now: datetime) -> DeletionInProgress:
    until = from_ms(item.get("leaseUntil", 0))
    return DeletionInProgress(item.get("customerId", ""), seconds_until(until, now))


def _unchanged_since(before: Customer) -> Condition:
    return Condition(
        "version = :before AND #state = :active", {":before": before.version, ":active": ACTIVE}, {"#state": "state"}
    )


_IS_THEIRS = "customerId = :theirs AND attribute_not_exists(ended)"


def _point(company_id: str, customer_id: str, *, reserved: bool | None = None) -> Write:
    """Point a company to its customer. Without the condition, it could be taken from another customer."""
    unless_taken = Condition(
        f"attribute_not_exists(pk) OR attribute_exists(discarded) OR ({_IS_THEIRS})", {":theirs": customer_id}
    )
    return put({**_pointer(company_id), "customerId": customer_id, "reserved": reserved}, unless_taken)


def _pointer(company_id: str) -> dict[str, Any]:
    return {**keys.attributes(keys.company(company_id)), "companyId": company_id}


def _before(company: Company) -> dict[str, Any]:
    return {
        "name": company.name,
        "description": company.description,
        "taggedCustomerId": company.tagged_customer_id,
        "tags": dict(company.tags),
    }


def _customer_item(customer: Customer) -> Item:
    confirmed = customer.confirmed_profile
    return {
        **keys.attributes(keys.customer(customer.customer_id)),
        "state": ACTIVE,
        "customerId": customer.customer_id,
        "customerShard": keys.customer_shard(customer.customer_id),
        "companyId": customer.company_id,
        **_profile_attributes(customer.profile),
        "createdAt": customer.created_at,
        "updatedAt": customer.updated_at,
        "version": customer.version,
        "confirmedProfile": None if confirmed is None else _profile_attributes(confirmed),
        "profileUnset": customer.profile_unset or None,
        "existingTags": dict(customer.existing_tags) or None,
    }


def _customer(item: Item) -> Customer:
    return Customer(
        customer_id=item["customerId"],
        company_id=item["companyId"],
        profile=profile_of(item),
        created_at=Timestamp(item["createdAt"]),
        updated_at=Timestamp(item["updatedAt"]),
        version=int(item["version"]),
        confirmed_profile=profile_of(item["confirmedProfile"]) if "confirmedProfile" in item else None,
        profile_unset=bool(item.get("profileUnset")),
        existing_tags=item.get("existingTags", {}),
    )


def _profile_attributes(profile: Profile) -> dict[str, Any]:
    return {"name": profile.name, "description": profile.description, "tags": dict(profile.tags)}
