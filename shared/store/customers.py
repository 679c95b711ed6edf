"""Customers, the claims on their creation, their deletion, and the pointer from a company to its customer."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.claims import Claim, Terms, seconds_until
from shared.domain.customers import Content, Customer, Deletion, Ownership, content_of
from shared.domain.errors import CompanyTaken, DeletionInProgress
from shared.domain.instants import Instant, instant_of
from shared.domain.pages import Page
from shared.store import keys
from shared.store.claims import CREATING, Claims, claim_of, from_ms, held_by, lost, to_ms
from shared.store.paging import Walk
from shared.store.table import Condition, ConditionFailed, Item, Table, Write, delete, put

ACTIVE = "active"
DELETING = "deleting"
INDEX = "byCustomer"
TOMBSTONE_KEPT_FOR = timedelta(days=30)
"""Longer than Codat goes on retrying a webhook."""


class Customers:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._claims = Claims(table)

    def claim(
        self,
        customer_id: str,
        content: Content,
        terms: Terms,
        company_id: str | None = None,
        *,
        adopted: bool = False,
    ) -> Claim | Customer:
        """The claim on the customer's creation, or the customer where it exists.

        With `company_id` the claim is on the adoption of that company; `adopted` where nobody has asked for it by
        name. Raises CreationInProgress and DeletionInProgress while another process is at it.
        """
        payload = {
            "customerId": customer_id,
            "adoptedCompanyId": company_id,
            "adopted": adopted or None,
            **_content_item(content),
        }
        taken = self._claims.take(keys.customer(customer_id), payload, f"Customer {customer_id}", terms)
        if isinstance(taken, Claim):
            return taken
        if taken["state"] == DELETING:
            raise _deleting(taken, terms.now)
        return _customer(taken)

    def activate(
        self,
        claim: Claim,
        company_id: str,
        now: datetime,
        *,
        key_id: str = "",
        kept_tags: Mapping[str, str] | None = None,
    ) -> Customer:
        """Turns the claim into a customer and points its company to it, both or neither.

        Repeated after a lost answer it is the same. Raises CreationInProgress where the claim was lost, CompanyTaken
        where the company is another customer's, or deleted.
        """
        customer = Customer(
            customer_id=claim.payload["customerId"],
            company_id=company_id,
            content=content_of(claim.payload),
            created_at=instant_of(now),
            updated_at=instant_of(now),
            version=to_ms(now),
            adopted=bool(claim.payload.get("adopted")),
            kept_tags=kept_tags or {},
            key_id=key_id,
        )
        try:
            self._table.write(put(_customer_item(customer), held_by(claim)), _point(company_id, customer.customer_id))
        except ConditionFailed as failure:
            if failure.index == 1:
                raise CompanyTaken(company_id) from failure
            stored = self.find(customer.customer_id)
            if stored is None:
                raise lost(claim, failure.found, now) from failure
            return stored
        return customer

    def reserve(self, claim: Claim, company_id: str) -> None:
        """Points the company to the customer that the claim is for, before anybody is told.

        Raises CompanyTaken where the company is another customer's, or deleted.
        """
        try:
            self._table.write(_point(company_id, claim.payload["customerId"], reserved=True))
        except ConditionFailed as failure:
            raise CompanyTaken(company_id) from failure

    def abandon(self, claim: Claim, company_id: str) -> None:
        """Drops the claim and what it has reserved; neither where another process has taken it over."""
        reserved = Condition(
            f"{_IS_THEIRS} AND reserved = :yes", {":theirs": claim.payload["customerId"], ":yes": True}
        )
        try:
            self._table.write(delete(claim.place, held_by(claim)), delete(keys.company(company_id), reserved))
        except ConditionFailed as failure:
            if failure.index == 1:
                self._claims.drop(claim)

    def find(self, customer_id: str) -> Customer | None:
        """The customer; None where there is none, or none yet, or none any more."""
        item = self._table.get(keys.customer(customer_id))
        return _customer(item) if item is not None and item["state"] == ACTIVE else None

    def is_free(self, customer_id: str) -> bool:
        """Whether the id stands for nothing: no customer, and nobody is creating or deleting it."""
        return self._table.get(keys.customer(customer_id)) is None

    def find_many(self, customer_ids: Iterable[str]) -> list[Customer]:
        """Those of 100 ids at most that are customers."""
        items = self._table.get_many(keys.customer(customer_id) for customer_id in customer_ids)
        return [_customer(item) for item in items.values() if item["state"] == ACTIVE]

    def being_deleted(self, customer_ids: Iterable[str]) -> list[str]:
        """Those of 100 ids at most whose deletion was begun and not finished."""
        items = self._table.get_many(keys.customer(customer_id) for customer_id in customer_ids)
        return [item["customerId"] for item in items.values() if item["state"] == DELETING]

    def ownership(self, company_id: str) -> Ownership:
        """Whose a company is."""
        return ownership_of(self._table.get(keys.company(company_id)))

    def change(self, changed: Customer, seen: Customer) -> bool:
        """Stores a change of what was seen; False, with nothing written, where somebody else has changed it since."""
        return self._try(put(_customer_item(changed), _unchanged_since(seen)))

    def settle(self, sent: Customer) -> bool:
        """Codat has the content: no longer dirty, if it is still this version; False where it is not."""
        return self._try(put(_customer_item(replace(sent, dirty=False)), _unchanged_since(sent)))

    def page(self, limit: int, cursor: str | None) -> Page[Customer]:
        """Customers in no order that means anything. Raises InvalidQuery where the cursor is none of ours."""
        walk = Walk(self._table, INDEX, "customerShard", "customerId", keys.customer_shards())
        page = walk.page(limit, cursor)
        return Page(self.find_many(entry["customerId"] for entry in page.items), page.cursor)

    def all_ids(self) -> Iterator[str]:
        """Every customer's id, those being deleted included, read as they are taken."""
        for shard in keys.customer_shards():
            start = None
            while True:
                page = self._table.query_index(INDEX, "customerShard", shard, limit=1000, start=start)
                yield from (entry["customerId"] for entry in page.items)
                start = page.next
                if start is None:
                    break

    def begin_deletion(self, customer_id: str, terms: Terms) -> Deletion | Claim | None:
        """The deletion, written down before Codat is asked; None where there is no such customer.

        Where the customer's creation was left unfinished, the claim on it: it has to be finished first, or a company
        that nobody knows would stay at Codat. Raises CreationInProgress and DeletionInProgress while another process
        is at it.
        """
        item = self._table.get(keys.customer(customer_id))
        while item is not None:
            if item["state"] == CREATING:
                return self._claims.take_over(claim_of(item, f"Customer {customer_id}"), terms)
            if item.get("leaseOwner") == terms.owner:
                return _deletion(item)
            item = self._begin_deletion(item, terms)
        return None

    def resume_deletion(self, customer_id: str, terms: Terms) -> Deletion | None:
        """A deletion that was begun; None where there is none any more: the customer may have been created again
        since, and nobody asked to delete that one. Raises DeletionInProgress while another process is at it.
        """
        item = self._table.get(keys.customer(customer_id))
        while item is not None and item["state"] == DELETING:
            if item["leaseOwner"] == terms.owner:
                return _deletion(item)
            item = self._begin_deletion(item, terms)
        return None

    def _begin_deletion(self, item: Item, terms: Terms) -> Item | None:
        """The item as it is now: ours, also where the write's first answer was lost, or what somebody else has made of
        it in the meantime. Raises DeletionInProgress while another's lease runs.
        """
        if item["state"] == DELETING and from_ms(item["leaseUntil"]) > terms.now:
            raise _deleting(item, terms.now)
        begun = {
            **item,
            "state": DELETING,
            "version": item["version"] + 1,
            "leaseOwner": terms.owner,
            "leaseUntil": to_ms(terms.now + terms.lease),
        }
        try:
            self._table.write(put(begun, Condition("version = :seen", {":seen": item["version"]})))
        except ConditionFailed as failure:
            return failure.found
        return begun

    def release_deletion(self, deletion: Deletion) -> None:
        """Ends the lease: the same call, repeated, goes on at once."""
        item = self._table.get(keys.customer(deletion.customer_id))
        if item is not None and item.get("leaseOwner") == deletion.owner:
            self._try(put({**item, "leaseUntil": 0}, Condition("leaseOwner = :owner", {":owner": deletion.owner})))

    def end_company(self, company_id: str, customer_id: str) -> None:
        """From now on nothing that comes late brings the company, or a connection of it, back."""
        ended = {**_pointer(company_id), "customerId": customer_id, "ended": True}
        # Where another has done all of it already, its tombstone stays: it knows no customer, and goes in time.
        self._try(put(ended, Condition("attribute_not_exists(expiresAt)")))

    def forget(self, company_id: str, customer_id: str, now: datetime) -> None:
        """Removes the customer of an ended company, and leaves a tombstone of the company without personal data.

        A customer that has another company by now stays.
        """
        until = int((now + TOMBSTONE_KEPT_FOR).timestamp())
        tombstone = put({**_pointer(company_id), "ended": True, "expiresAt": until})
        theirs = Condition("attribute_not_exists(pk) OR companyId = :company", {":company": company_id})
        try:
            self._table.write(delete(keys.customer(customer_id), theirs), tombstone)
        except ConditionFailed:
            self._table.write(tombstone)

    def _try(self, write: Write) -> bool:
        try:
            self._table.write(write)
        except ConditionFailed:
            return False
        return True


def ownership_of(pointer: Item | None) -> Ownership:
    pointer = pointer or {}
    return Ownership(
        pointer.get("customerId"), reserved=bool(pointer.get("reserved")), ended=bool(pointer.get("ended"))
    )


def customer_of(item: Item) -> Customer | None:
    """The customer that an item shows; None for one that is not there yet."""
    return _customer(item) if item["state"] in {ACTIVE, DELETING} else None


def _deletion(item: Item) -> Deletion:
    return Deletion(
        customer_id=item["customerId"],
        company_id=item["companyId"],
        key_id=item.get("keyId", ""),
        owner=item["leaseOwner"],
        lease_until=from_ms(item["leaseUntil"]),
    )


def _deleting(item: Item, now: datetime) -> DeletionInProgress:
    until = from_ms(item.get("leaseUntil", 0))
    return DeletionInProgress(item.get("customerId", ""), seconds_until(until, now))


def _unchanged_since(seen: Customer) -> Condition:
    return Condition(
        "version = :seen AND #state = :active", {":seen": seen.version, ":active": ACTIVE}, {"#state": "state"}
    )


_IS_THEIRS = "customerId = :theirs AND attribute_not_exists(ended)"


def _point(company_id: str, customer_id: str, *, reserved: bool | None = None) -> Write:
    """A company is one customer's: without the condition, a pointer could be bent to another."""
    unless_anothers = Condition(f"attribute_not_exists(pk) OR ({_IS_THEIRS})", {":theirs": customer_id})
    return put({**_pointer(company_id), "customerId": customer_id, "reserved": reserved}, unless_anothers)


def _pointer(company_id: str) -> dict[str, Any]:
    pk, sk = keys.company(company_id)
    return {"pk": pk, "sk": sk, "companyId": company_id}


def _customer_item(customer: Customer) -> Item:
    pk, sk = keys.customer(customer.customer_id)
    return {
        "pk": pk,
        "sk": sk,
        "state": ACTIVE,
        "customerId": customer.customer_id,
        "customerShard": keys.customer_shard(customer.customer_id),
        "companyId": customer.company_id,
        **_content_item(customer.content),
        "createdAt": customer.created_at,
        "updatedAt": customer.updated_at,
        "version": customer.version,
        "dirty": customer.dirty or None,
        "adopted": customer.adopted or None,
        "keptTags": dict(customer.kept_tags) or None,
        "keyId": customer.key_id or None,
    }


def _customer(item: Item) -> Customer:
    return Customer(
        customer_id=item["customerId"],
        company_id=item["companyId"],
        content=content_of(item),
        created_at=Instant(item["createdAt"]),
        updated_at=Instant(item["updatedAt"]),
        version=int(item["version"]),
        dirty=bool(item.get("dirty")),
        adopted=bool(item.get("adopted")),
        kept_tags=item.get("keptTags", {}),
        key_id=item.get("keyId", ""),
    )


def _content_item(content: Content) -> dict[str, Any]:
    return {"name": content.name, "description": content.description, "tags": dict(content.tags)}
