"""Customers, the leases on their creation and deletion, and the pointer from a company to its customer."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.customers import Company, Customer, Deletion, Ownership, Profile, adopter_digest, profile_of
from shared.domain.errors import CompanyTaken, CreationInProgress, DeletionInProgress, StoreUnavailable
from shared.domain.leases import CreationLease, LeaseRequest, seconds_until
from shared.domain.timestamps import Timestamp, timestamp_of
from shared.store import keys
from shared.store.attributes import Item
from shared.store.leases import CREATING, Leases, from_ms, lease_item, lease_of, lost, owned_by, to_ms
from shared.store.paging import ShardedQuery
from shared.store.table import Condition, ConditionFailed, Table, Write, delete, put

ACTIVE = "active"
DELETING = "deleting"
RESTORING = "restoring"
"""A customer whose connections are being restored from a backup. Until that is done, calls and webhooks are refused."""
INDEX = "byCustomer"
TOMBSTONE_LIFETIME = timedelta(days=30)
"""Longer than Codat retries a webhook."""
DISCARDED_LIFETIME = timedelta(days=7)
"""Longer than a request can run at Codat, and several reconciles."""

_IS_THEIRS = "customerId = :theirs AND attribute_not_exists(ended)"


class Customers:
    """Acquiring a lease raises CreationInProgress or DeletionInProgress while another process holds one."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._leases = Leases(table)
        self._query = ShardedQuery(table, INDEX, "customerShard", "customerId", keys.shards(keys.CUSTOMERS))

    def acquire(
        self,
        customer_id: str,
        profile: Profile,
        request: LeaseRequest,
        company_id: str | None = None,
        *,
        profile_unset: bool = False,
    ) -> CreationLease | Customer:
        """Return the customer, or the lease on its creation, or with `company_id` on the adoption of that company."""
        payload = {
            "customerId": customer_id,
            "customerShard": keys.shard(keys.CUSTOMERS, customer_id),
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
        """Turn the lease into a customer and point its company to it, both or neither; again if an answer was lost.

        Raises CreationInProgress if the lease was lost, CompanyTaken if the company is another's or was deleted.
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
            self._put_with_pointer(_customer_item(customer), company_id, lease, now)
        except CreationInProgress:
            stored = self.find(customer.customer_id)
            if stored is None:
                raise
            return stored
        return customer

    def reserve(self, lease: CreationLease, company: Company, now: datetime) -> CreationLease:
        """Point the company to the lease's customer, and save its content in the lease, unless an earlier call did.

        Raises CreationInProgress if the lease was lost, CompanyTaken if the company is another's or was deleted.
        """
        if "before" not in lease.payload:
            before = {**_profile_attributes(company.profile), "taggedCustomerId": company.tagged_customer_id}
            lease = replace(lease, payload={**lease.payload, "before": before})
        self._put_with_pointer(lease_item(lease), company.company_id, lease, now, reserved=True)
        return lease

    def _put_with_pointer(
        self, item: Item, company_id: str, lease: CreationLease, now: datetime, *, reserved: bool | None = None
    ) -> None:
        try:
            self._table.write(
                put(item, owned_by(lease)), _point(company_id, lease.payload["customerId"], reserved=reserved)
            )
        except ConditionFailed as failure:
            if failure.index == 1:
                raise CompanyTaken(company_id) from failure
            raise lost(lease, failure.existing, now) from failure

    def discard_adoption(self, lease: CreationLease, now: datetime) -> None:
        """Delete the lease and its reservation; neither if another process has taken over.

        For a while the pointer keeps the company's earlier content: a late request of the adoption may change the
        company again, and reconcile then restores it. If the company had the customer's tag before, reconcile could not
        recognise such a change, so the pointer is deleted.
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
        item = self._table.get(keys.customer(customer_id))
        if item is None:
            return None
        _require_restored(item)
        return _customer(item) if item["state"] == ACTIVE else None

    def find_many(self, customer_ids: Iterable[str]) -> list[Customer]:
        """Return the active customers among at most 100 ids."""
        return [_customer(item) for item in self._items(customer_ids) if item["state"] == ACTIVE]

    def unfinished(self, customer_ids: Iterable[str]) -> list[str]:
        """Return the ids, of at most 100, whose creation or deletion has begun but is not complete."""
        return [item["customerId"] for item in self._items(customer_ids) if item["state"] in {CREATING, DELETING}]

    def ownership(self, company_id: str) -> Ownership:
        return ownership_of(self._table.get(keys.company(company_id)))

    def restore_pointer(self, customer: Customer) -> bool:
        """Write a lost pointer again. Return False if the company has another customer or was deleted."""
        return self._table.try_write(_point(customer.company_id, customer.customer_id))

    def change(self, changed: Customer, before: Customer) -> bool:
        """Store a change. Return False, without a write, if another process has changed the customer since `before`."""
        values = {":before": before.version, ":active": ACTIVE}
        unchanged = Condition("version = :before AND #state = :active", values, {"#state": "state"})
        return self._table.try_write(put(_customer_item(changed), unchanged))

    def page(self, limit: int, cursor: str | None) -> tuple[list[Customer], str | None]:
        """Return a page of customers, in no order, and the cursor of the next page, as `ShardedQuery.page` does."""
        entries, following = self._query.page(limit, cursor)
        return self.find_many(entry["customerId"] for entry in entries), following

    def has_any(self) -> bool:
        """Return whether a customer exists, also one that is being deleted."""
        items = (self._table.get(keys.customer(customer_id)) for customer_id in self.all_ids())
        return any(item is not None and item["state"] != CREATING for item in items)

    def all_ids(self) -> Iterator[str]:
        """Yield the ids of all customers, also of those being created or deleted."""
        return (entry["customerId"] for entry in self._query.all())

    def begin_deletion(
        self, customer_id: str, request: LeaseRequest, *, resume: bool = False
    ) -> Deletion | CreationLease | None:
        """Store the deletion before the request to Codat; None if there is no customer.

        An unfinished creation is taken over instead, because Codat may have a company of it. With `resume`, only an
        earlier deletion is continued: a customer that was created again since stays.
        """
        item = self._table.get(keys.customer(customer_id))
        while item is not None:
            _require_restored(item)
            if item["state"] == CREATING:
                return self._leases.take_over(lease_of(item, f"Customer {customer_id}"), request)
            # After a failed condition too: then the item is our own write, whose response was lost.
            if item.get("leaseOwner") == request.owner:
                return Deletion(customer_id, item["companyId"], request.owner)
            if item["state"] == DELETING and from_ms(item["leaseUntil"]) > request.now:
                raise _deleting(item, request.now)
            if item["state"] == ACTIVE and resume:
                return None
            begun = {
                **item,
                "state": DELETING,
                "version": item["version"] + 1,
                "leaseOwner": request.owner,
                "leaseUntil": to_ms(request.now + request.duration),
            }
            try:
                self._table.write(put(begun, Condition("version = :before", {":before": item["version"]})))
                item = begun
            except ConditionFailed as failure:
                item = failure.existing
        return None

    def release_deletion(self, deletion: Deletion) -> None:
        """End the lease, so that a repeated call continues at once."""
        item = self._table.get(keys.customer(deletion.customer_id))
        if item is not None:
            self._table.try_write(put({**item, "leaseUntil": 0}, owned_by(deletion)))

    def close_company(self, company_id: str, customer_id: str) -> None:
        """Mark the company as ended, so that late events can't restore it or a connection of it."""
        ended = {**_pointer(company_id), "customerId": customer_id, "ended": True}
        # A tombstone from another process stays: it contains no customer, and expires.
        self._table.try_write(put(ended, Condition("attribute_not_exists(expiresAt)")))

    def delete(self, company_id: str, customer_id: str, now: datetime) -> None:
        """Delete the customer of an ended company, unless it has another by now, and leave the company's tombstone."""
        until = int((now + TOMBSTONE_LIFETIME).timestamp())
        tombstone = put({**_pointer(company_id), "ended": True, "expiresAt": until})
        theirs = Condition("attribute_not_exists(pk) OR companyId = :company", {":company": company_id})
        if not self._table.try_write(delete(keys.customer(customer_id), theirs), tombstone):
            self._table.write(tombstone)

    def _items(self, customer_ids: Iterable[str]) -> list[Item]:
        return list(self._table.get_many(map(keys.customer, customer_ids)).values())


def ownership_of(pointer: Item | None) -> Ownership:
    pointer = pointer or {}
    return Ownership(
        pointer.get("customerId"),
        is_reserved=bool(pointer.get("reserved")),
        has_ended=bool(pointer.get("ended")),
        is_restoring=bool(pointer.get("restoring")),
        discarded=pointer.get("discarded"),
    )


def customer_from_item(item: Item) -> Customer | None:
    """Read a customer; None if it is being created or restored."""
    return _customer(item) if item["state"] in {ACTIVE, DELETING} else None


def owned_pointer(customer_id: str) -> Condition:
    """Require that the customer owns the company. Without this condition, a late write would outlive the customer."""
    return Condition(f"{_IS_THEIRS} AND attribute_not_exists(reserved)", {":theirs": customer_id})


def _require_restored(item: Item) -> None:
    if item["state"] == RESTORING:
        raise StoreUnavailable(
            f"Customer {item['customerId']} is being restored from a backup. Repeat this call later."
        )


def _deleting(item: Item, now: datetime) -> DeletionInProgress:
    return DeletionInProgress(item.get("customerId", ""), seconds_until(from_ms(item.get("leaseUntil", 0)), now))


def _point(company_id: str, customer_id: str, *, reserved: bool | None = None) -> Write:
    """Point a company to its customer. Without the condition, it could be taken from another customer."""
    unless_taken = Condition(
        f"attribute_not_exists(pk) OR attribute_exists(discarded) OR ({_IS_THEIRS})", {":theirs": customer_id}
    )
    return put({**_pointer(company_id), "customerId": customer_id, "reserved": reserved}, unless_taken)


def _pointer(company_id: str) -> dict[str, Any]:
    return {**keys.attributes(keys.company(company_id)), "companyId": company_id}


def _customer_item(customer: Customer) -> Item:
    confirmed = customer.confirmed_profile
    return {
        **keys.attributes(keys.customer(customer.customer_id)),
        "state": ACTIVE,
        "customerId": customer.customer_id,
        "customerShard": keys.shard(keys.CUSTOMERS, customer.customer_id),
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
