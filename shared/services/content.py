"""A customer's name, description and tags. The table is their truth; Codat gets a copy.

A change is written with a new version and marked dirty, sent to Codat, and the mark removed if the version is still
that. Whatever stays dirty, because a process died or Codat was down, is sent again by the next change or by reconcile.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.domain.customers import Content, Customer, kept_beside
from shared.domain.errors import (
    CodatNotFound,
    CompanyGone,
    CustomerConflict,
    StoreUnavailable,
)
from shared.domain.instants import instant_of
from shared.services.existence import customer_or_refuse
from shared.services.ports import Call, Codat, Customers

_MOST_CONFLICTS = 10
_TOO_MANY = "Too many writers at one customer."


def change_customer(
    customer_id: str, changes: Mapping[str, Any], *, call: Call, customers: Customers, codat: Codat
) -> Customer:
    """The customer with the fields of `changes` (name, description, tags) replaced.

    Raises CustomerNotFound, TooManyTags, and Codat's errors, after which the change is stored and reconcile, or the
    same call, repeated, brings it to Codat.
    """
    for _ in range(_MOST_CONFLICTS):
        seen = customer_or_refuse(customer_id, customers)
        call.telemetry.note(company_id=seen.company_id)
        content = replace(seen.content, **changes)
        if content == seen.content and not seen.dirty and not seen.adopted:
            return seen
        if changed := _set_content(seen, content, call=call, customers=customers, codat=codat):
            return changed
    raise StoreUnavailable(_TOO_MANY)


def ensure_content(customer: Customer, content: Content, *, call: Call, customers: Customers, codat: Codat) -> Customer:
    """The customer with this content. Of one that was found at Codat nobody has said yet what its content shall be:
    the first to ask for it does.

    Raises CustomerConflict where it has another one, and what `change_customer` raises.
    """
    for _ in range(_MOST_CONFLICTS):
        if not customer.adopted:
            if differing := customer.content.differing_fields(content):
                raise CustomerConflict(customer.customer_id, differing)
            if customer.dirty:
                # Whoever stored this content has not brought it to Codat.
                send_content(customer, customers=customers, codat=codat)
            return customer
        if changed := _set_content(customer, content, call=call, customers=customers, codat=codat):
            return changed
        customer = customer_or_refuse(customer.customer_id, customers)
    raise StoreUnavailable(_TOO_MANY)


def _set_content(
    seen: Customer, content: Content, *, call: Call, customers: Customers, codat: Codat
) -> Customer | None:
    """The customer with this content, stored and at Codat; None, with nothing done, where somebody was quicker."""
    kept_beside(content, seen.kept_tags)  # refused before it is stored
    changed = replace(
        seen,
        content=content,
        updated_at=instant_of(call.now()),
        version=seen.version + 1,
        dirty=True,
        adopted=False,
    )
    if not customers.change(changed, seen):
        return None
    send_content(changed, customers=customers, codat=codat)
    return changed


def send_content(customer: Customer, *, customers: Customers, codat: Codat) -> None:
    """Brings the content to Codat: the newest, since a request of ours may have overtaken that of a later change."""
    newest: Customer | None = customer
    while newest is not None:
        kept = kept_beside(newest.content, newest.kept_tags)
        try:
            codat.update_company(newest.company_id, newest.customer_id, newest.content, kept)
        except CodatNotFound as gone:
            # What Codat deleted is told by its webhook, or found by reconcile; there is nothing to change any more.
            raise CompanyGone(newest.customer_id) from gone
        if customers.settle(newest):
            return
        newest = customers.find(newest.customer_id)
