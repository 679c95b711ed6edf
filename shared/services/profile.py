"""Change a customer's name, description and tags. The table is authoritative; Codat gets a copy.

A change is stored with a new version, together with the profile that Codat confirmed last. It is sent to Codat, and
marked as synced if the version is still the same. If a process crashes or Codat is down, the change stays pending, and
the next change or reconcile sends it. If Codat rejects it, it is rolled back.
"""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from shared.domain import errors
from shared.domain.customers import Customer, Profile, merge_tags
from shared.services.context import CodatContext, Context


def get_customer(customer_id: str, context: Context) -> Customer:
    """Return the active customer. Raises CustomerNotFound."""
    customer = context.customers.find(customer_id)
    if customer is None:
        raise errors.CustomerNotFound(customer_id)
    context.telemetry.note(company_id=customer.company_id)
    return customer


def change_customer(customer_id: str, changes: Mapping[str, Any], context: CodatContext) -> Customer:
    """Replace the fields in `changes` (name, description, tags) and return the customer.

    Raises CustomerNotFound, TooManyTags, CodatRejected with the change rolled back, and Codat's other errors with the
    change stored: a repeated call, or reconcile, sends it.
    """
    # Each repetition follows a write that succeeded, so there are few.
    while True:
        before = get_customer(customer_id, context)
        profile = replace(before.profile, **changes)
        if profile == before.profile and not before.sync_pending and not before.profile_unset:
            return before
        if changed := _set_profile(before, profile, context):
            return changed


def ensure_profile(customer: Customer, profile: Profile, context: CodatContext) -> Customer:
    """Return the customer with this profile. The first request for an adopted orphan sets its profile.

    Raises CustomerConflict if the customer has another profile, and the errors of `change_customer`.
    """
    while customer.profile_unset:
        if changed := _set_profile(customer, profile, context):
            return changed
        customer = get_customer(customer.customer_id, context)
    if differing := customer.profile.differing_fields(profile):
        raise errors.CustomerConflict(customer.customer_id, differing)
    return send_profile(customer, context) if customer.sync_pending else customer


def _set_profile(before: Customer, profile: Profile, context: CodatContext) -> Customer | None:
    """Store and send the profile, and return the customer. Return None if it was changed since `before`."""
    merge_tags(profile, before.existing_tags)  # raises TooManyTags before the profile is stored
    confirmed = before.confirmed_profile or before.profile
    changed = _next_version(before, context, profile=profile, confirmed_profile=confirmed, profile_unset=False)
    return send_profile(changed, context, replaced=before) if context.customers.change(changed, before) else None


def send_profile(customer: Customer, context: CodatContext, *, replaced: Customer | None = None) -> Customer:
    """Send the profile to Codat, and return the customer.

    If the customer has changed since, the newest profile is sent as well: our request may have overtaken its request.
    Raises CompanyGone, CodatRejected with the profile rolled back, and Codat's other errors. A rollback restores the
    profile of `replaced`, by default the one that Codat confirmed last.
    """
    newest: Customer | None = customer
    while newest is not None:
        try:
            context.codat.update_company(newest.company_id, newest.customer_id, newest.profile, newest.existing_tags)
        except errors.CodatNotFound as error:
            # The customer is deleted by the company's webhook, or by reconcile.
            raise errors.CompanyGone(newest.customer_id) from error
        except errors.CodatRejected as rejection:
            if rejection.status == HTTPStatus.BAD_REQUEST:
                _roll_back(newest, replaced if newest is customer else None, context)
            raise
        # With the same version, a change that was begun before could bring back the earlier `confirmed_profile`.
        confirmed = replace(newest, confirmed_profile=None, version=newest.version + 1)
        if context.customers.change(confirmed, newest):
            return confirmed
        newest = context.customers.find(newest.customer_id)
        if newest is not None and replaced is not None and newest.profile == replaced.profile:
            # Reconcile has sent the change as well, and Codat has rejected that request.
            raise errors.CodatRejected("Codat answered 400 when the change was sent a second time. It was rolled back.")
    raise errors.CustomerNotFound(customer.customer_id)


def _roll_back(rejected: Customer, replaced: Customer | None, context: CodatContext) -> None:
    """Store the earlier profile again, unless the customer was changed since. An earlier change stays pending."""
    profile = replaced.profile if replaced else rejected.confirmed_profile
    if profile is None or profile == rejected.profile:
        return
    is_unset = replaced is not None and replaced.profile_unset
    rolled_back = _next_version(rejected, context, profile=profile, profile_unset=is_unset)
    context.customers.change(rolled_back, rejected)


def _next_version(customer: Customer, context: Context, **changes: Any) -> Customer:
    return replace(customer, **changes, updated_at=context.timestamp(), version=customer.version + 1)
