"""Customers, the claims on their creation, and the pointer from a company to its customer."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.domain.claims import Claim, Terms
from shared.domain.customers import Content, Customer
from shared.domain.errors import CompanyTaken
from shared.domain.instants import Instant, instant_of
from shared.store import keys
from shared.store.claims import Claims, held_by, lost
from shared.store.table import Condition, ConditionFailed, Item, Table, put

ACTIVE = "active"


class Customers:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._claims = Claims(table)

    def claim(self, customer_id: str, content: Content, terms: Terms) -> Claim | Customer:
        """The claim on the customer's creation, or the customer where it exists.

        Raises CreationInProgress while another process is at it.
        """
        payload = {"customerId": customer_id, **_content_item(content)}
        taken = self._claims.take(keys.customer(customer_id), payload, f"Customer {customer_id}", terms)
        return taken if isinstance(taken, Claim) else _customer(taken)

    def activate(self, claim: Claim, company_id: str, now: datetime) -> Customer:
        """Turns the claim into a customer and points its company to it, both or neither.

        Repeated after a lost answer it is the same. Raises CreationInProgress where the claim was lost.
        """
        customer = Customer(
            customer_id=claim.payload["customerId"],
            company_id=company_id,
            content=_content(claim.payload),
            created_at=instant_of(now),
            updated_at=instant_of(now),
        )
        pointer: dict[str, Any] = {"companyId": company_id, "customerId": customer.customer_id}
        pointer["pk"], pointer["sk"] = keys.company(company_id)
        try:
            self._table.write(
                put(_customer_item(customer), held_by(claim)),
                put(
                    pointer,
                    # A company is one customer's: without this, a pointer could be bent to another.
                    Condition("attribute_not_exists(pk) OR customerId = :mine", {":mine": customer.customer_id}),
                ),
            )
        except ConditionFailed as failure:
            if failure.index == 1:
                raise CompanyTaken(company_id) from failure
            stored = self.find(customer.customer_id)
            if stored is None:
                raise lost(claim, failure.found, now) from failure
            return stored
        return customer

    def find(self, customer_id: str) -> Customer | None:
        """The customer; None where there is none, or none yet."""
        item = self._table.get(keys.customer(customer_id))
        return _customer(item) if item is not None and item["state"] == ACTIVE else None


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
    }


def _customer(item: Item) -> Customer:
    return Customer(
        customer_id=item["customerId"],
        company_id=item["companyId"],
        content=_content(item),
        created_at=Instant(item["createdAt"]),
        updated_at=Instant(item["updatedAt"]),
        version=int(item["version"]),
    )


def _content_item(content: Content) -> dict[str, Any]:
    return {"name": content.name, "description": content.description, "tags": dict(content.tags)}


def _content(item: Mapping[str, Any]) -> Content:
    return Content(name=item["name"], description=item.get("description"), tags=item["tags"])
