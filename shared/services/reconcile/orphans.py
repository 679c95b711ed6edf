"""Count and adopt orphans: companies at Codat that carry our tag but have no customer."""

from contextlib import suppress
from dataclasses import replace

from shared.domain import errors
from shared.domain.customers import CREATION_TAG, Company, split_tags
from shared.domain.leases import CreationLease
from shared.services.customers import find_out_creation, report_duplicates, restore_company
from shared.services.reconcile.context import ReconcileContext, Results


def reconcile_orphans(page: int, context: ReconcileContext, results: Results, *, adopt_ours: bool) -> None:
    """Count the orphans on a page of Codat's companies, and adopt them if `context.adopt_orphans` is set.

    With `adopt_ours`, those that this service created are always adopted.
    """
    companies, unparseable = context.codat.companies(page)
    context.require_quota()
    for company in companies:
        customer_id = company.tagged_customer_id
        if customer_id is None or not (ownership := context.customers.ownership(company.company_id)).is_free:
            continue
        with results.collect_error():
            before = ownership.before_adoption_by(customer_id, company.company_id)
            if before is not None:
                # A late request of an undone adoption may have changed the company.
                results.counts["drift"] += restore_company(company.company_id, customer_id, before, context)
            elif _restore_pointer(company, customer_id, context):
                results.counts["drift"] += 1
            else:
                results.counts["strays"] += 1
                _adopt(company, customer_id, context, results, adopt_ours=adopt_ours)
    if unparseable:
        message = f"{unparseable} companies on page {page} can't be parsed."
        results.errors.append(errors.CodatInvalidResponse(message))


def _restore_pointer(company: Company, customer_id: str, context: ReconcileContext) -> bool:
    """Restore the lost pointer of a company that has a customer; return whether it was lost."""
    customer = context.customers.find(customer_id)
    if customer is None or customer.company_id != company.company_id:
        return False
    return context.customers.restore_pointer(customer)


def _adopt(
    company: Company, customer_id: str, context: ReconcileContext, results: Results, *, adopt_ours: bool
) -> None:
    """Adopt the company, unless its customer has another company, or another process is creating the customer."""

    def is_wanted(orphan: Company) -> bool:
        return context.adopt_orphans or (adopt_ours and CREATION_TAG in orphan.profile.tags)

    if not is_wanted(company):
        return
    # Of several companies for one customer id, the oldest is adopted, in any order of the pages.
    candidates = filter(is_wanted, context.codat.companies_of([customer_id]))
    oldest = next((each for each in candidates if context.customers.ownership(each.company_id).is_free), company)
    tags, _ = split_tags(oldest.profile.tags)
    profile = replace(oldest.profile, tags=tags)
    with suppress(errors.CreationInProgress, errors.DeletionInProgress, errors.CompanyTaken, errors.CompanyUnknown):
        acquired = context.customers.acquire(
            customer_id, profile, context.lease_request(), oldest.company_id, profile_unset=True
        )
        if not isinstance(acquired, CreationLease):
            report_duplicates(customer_id, [acquired.company_id, company.company_id], context)
        elif find_out_creation(acquired, context) is not None:
            results.counts.update(straysAdopted=1, drift=1)
