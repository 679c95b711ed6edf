"""A customer's name, description and tags. The table holds the truth; Codat gets a copy.

A change is stored with a new version, beside what Codat confirmed last. It is sent to Codat, and then marked as synced
if the version is still the same. What stays pending, because a process crashed or Codat was down, is sent again by the
next change or by reconcile. What Codat rejects is rolled back.
"""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from shared.domain.customers import Customer, Profile, merge_tags
from shared.domain.errors import (
    CodatNotFound,
    CodatRejected,
    CompanyGone,
    CustomerConflict,
    CustomerNotFound,
    StoreUnavailable,
)
from shared.services.context import CodatContext, Context

MAX_CONFLICTS = 10
_TOO_MANY_WRITERS = "Too many writers at one customer."


def get_customer(customer_id: str, context: Context) -> Customer:
    """Return the active customer. Raises CustomerNotFound."""
    customer = context.customers.find(customer_id)
    if customer is None:
        raise CustomerNotFound(customer_id)
    context.telemetry.note(company_id=customer.company_id)
    return customer


def change_customer(customer_id: str, changes: Mapping[str, Any], context: CodatContext) -> Customer:
    """Replace the fields in `changes` (name, description, tags) and return the customer.

    Raises CustomerNotFound, TooManyTags, CodatRejected if Codat rejects the change, which is then rolled back, and
    Codat's other errors. After those the change is stored; the same call, repeated, or reconcile sends it to Codat.
    """
    for _ in range(MAX_CONFLICTS):
        before = get_customer(customer_id, context)
        profile = replace(before.profile, **changes)
        if profile == before.profile and not before.sync_pending and not before.profile_unset:
            return before
        if changed := _set_profile(before, profile, context):
            return changed
    raise StoreUnavailable(_TOO_MANY_WRITERS)


def ensure_profile(customer: Customer, profile: Profile, context: CodatContext) -> Customer:
    """Return the customer with this profile. The first request for an adopted orphan decides its profile.

    Raises CustomerConflict if the customer has another profile, and what `change_customer` raises.
    """
    for _ in range(MAX_CONFLICTS):
        if not customer.profile_unset:
            if differing := customer.profile.differing_fields(profile):
                raise CustomerConflict(customer.customer_id, differing)
            return send_profile(customer, context) if customer.sync_pending else customer
        if changed := _set_profile(customer, profile, context):
            return changed
        customer = get_customer(customer.customer_id, context)
    raise StoreUnavailable(_TOO_MANY_WRITERS)


def _set_profile(before: Customer, profile: Profile, context: CodatContext) -> Customer | None:
    """Store the profile, send it and return the customer as it is then; None, with nothing done, if another process
    was faster.
    """
    merge_tags(profile, before.existing_tags)  # refused before it is stored
    changed = replace(
        before,
        profile=profile,
        confirmed_profile=before.confirmed_profile or before.profile,
        updated_at=context.timestamp(),
        version=before.version + 1,
        profile_unset=False,
    )
    if not context.customers.change(changed, before):
        return None
    return send_profile(changed, context, replaced=before)


def send_profile(customer: Customer, context: CodatContext, *, replaced: Customer | None = None) -> Customer:
    """Send the profile to Codat and return the customer: always the newest, because our request may have overtaken that
    of a later change.

    Raises CompanyGone, CodatRejected with the profile rolled back to that of `replaced`, by default to the one that
    Codat confirmed last, and Codat's other errors.
    """
    newest: Customer | None = customer
    while newest is not None:
        try:
            context.codat.update_company(newest.company_id, newest.customer_id, newest.profile, newest.existing_tags)
        except CodatNotFound as error:
            # A deleted company is removed by its webhook, or by reconcile: there is nothing to change any more.
            raise CompanyGone(newest.customer_id) from error
        except CodatRejected as rejection:
            if rejection.status == HTTPStatus.BAD_REQUEST:
                _roll_back(newest, replaced if newest is customer else None, context)
            raise
        if context.customers.mark_synced(newest):
            return replace(newest, confirmed_profile=None)
        newest = context.customers.find(newest.customer_id)
        if newest is not None and replaced is not None and newest.profile == replaced.profile:
            # Reconcile has sent the change as well, and Codat has rejected that request.
            raise CodatRejected("Codat answered 400 when the change was sent a second time. It was rolled back.")
    raise CustomerNotFound(customer.customer_id)


def _roll_back(rejected: Customer, replaced: Customer | None, context: CodatContext) -> None:
    """Store the earlier profile again, unless the customer was changed since.

    It stays pending: of several changes an earlier one may have reached Codat.
    """
    profile = replaced.profile if replaced else rejected.confirmed_profile
    if profile is None or profile == rejected.profile:
        return
    rolled_back = replace(
        rejected,
        profile=profile,
        profile_unset=replaced is not None and replaced.profile_unset,
        updated_at=context.timestamp(),
        version=rejected.version + 1,
    )
    context.customers.change(rolled_back, rejected)
