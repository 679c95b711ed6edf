"""Orphaned companies: they carry our tag at Codat, and have no customer here."""

from collections.abc import Mapping
from typing import Any

from shared.domain.customers import CREATION_TAG, Company, Profile, split_tags
from shared.domain.errors import (
    CodatInvalidResponse,
    CompanyTaken,
    CompanyUnknown,
    CreationInProgress,
    DeletionInProgress,
)
from shared.domain.leases import CreationLease
from shared.services.customers import find_out_creation, report_duplicates
from shared.services.reconcile.context import PAGE_SIZE, Counts, ErrorCollector, ReconcileContext


def reconcile_orphans(page: int, context: ReconcileContext, *, adopt_ours: bool) -> Counts:
    """Count the orphans of one page of Codat's companies, and adopt them if the deployment wants that.

    With `adopt_ours`, those that this service created are adopted in any case.
    """
    counts = Counts()
    listed = context.codat.companies(page, PAGE_SIZE)
    context.require_quota()
    errors = ErrorCollector(counts)
    for company in listed.companies:
        if company.tagged_customer_id is None:
            continue
        ownership = context.customers.ownership(company.company_id)
        if ownership.has_ended or ownership.owner is not None:
            continue
        with errors:
            before = ownership.before_adoption_by(company.tagged_customer_id, company.company_id)
            if before is not None:
                counts["drift"] += _restore(company.company_id, company.tagged_customer_id, before, context)
            elif _pointer_was_lost(company, company.tagged_customer_id, context):
                counts["drift"] += 1
            else:
                counts["strays"] += 1
                _adopt(company, company.tagged_customer_id, context, counts, adopt_ours=adopt_ours)
    if listed.unparseable:
        errors.add(CodatInvalidResponse(f"{listed.unparseable} companies on page {page} can't be parsed."))
    errors.raise_errors()
    return counts


def _restore(company_id: str, customer_id: str, before: Mapping[str, Any], context: ReconcileContext) -> bool:
    """Restore a company that a late request of an undone adoption has changed; return whether it has its tag."""
    company = context.codat.company(company_id)  # Codat's lists lag behind
    if company is None or company.tagged_customer_id != customer_id:
        return False
    context.codat.restore_company(company_id, before)
    return True


def _pointer_was_lost(company: Company, customer_id: str, context: ReconcileContext) -> bool:
    """Restore the pointer of a company that has its customer here after all; return whether it was that."""
    customer = context.customers.find(customer_id)
    if customer is None or customer.company_id != company.company_id:
        return False
    return context.customers.restore_pointer(customer)


def _adopt(company: Company, customer_id: str, context: ReconcileContext, counts: Counts, *, adopt_ours: bool) -> None:
    """Adopt the company, unless its customer has another one, or another process is creating it."""

    def is_wanted(orphan: Company) -> bool:
        return context.adopt_orphans or (adopt_ours and CREATION_TAG in orphan.tags)

    if not is_wanted(company):
        return
    # If there are several for one id, the oldest is taken, whichever page shows it first.
    candidates = filter(is_wanted, context.codat.companies_of([customer_id]))
    oldest = next((each for each in candidates if _is_free(each, context)), company)
    tags, _ = split_tags(oldest.tags)
    profile = Profile(oldest.name, oldest.description, tags)
    try:
        acquired = context.customers.acquire(
            customer_id, profile, context.lease_request(), oldest.company_id, profile_unset=True
        )
        if not isinstance(acquired, CreationLease):
            report_duplicates(customer_id, [acquired.company_id, company.company_id], context)
        elif find_out_creation(acquired, context) is not None:
            counts.update(straysAdopted=1, drift=1)
    except (CreationInProgress, DeletionInProgress, CompanyTaken, CompanyUnknown):
        return


def _is_free(company: Company, context: ReconcileContext) -> bool:
    ownership = context.customers.ownership(company.company_id)
    return ownership.owner is None and not ownership.has_ended
