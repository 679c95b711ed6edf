"""Orphaned companies: they carry our tag at Codat, and have no customer here."""

from shared.domain.customers import CREATION_TAG, Company, Ownership, Profile, adopter_digest
from shared.domain.errors import CodatMadeNoSense, CompanyUnknown, CreationInProgress, DeletionInProgress
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
            if _restore_after_discarded_adoption(company, company.tagged_customer_id, ownership, context):
                counts["drift"] += 1
                continue
            if _pointer_was_lost(company, company.tagged_customer_id, context):
                counts["drift"] += 1
                continue
            counts["strays"] += 1
            if context.adopt_orphans or (adopt_ours and CREATION_TAG in company.tags):
                _adopt(company, company.tagged_customer_id, context, counts)
    if listed.unparseable:
        errors.add(CodatMadeNoSense(f"{listed.unparseable} companies on page {page} can't be parsed."))
    errors.raise_errors()
    return counts


def _restore_after_discarded_adoption(
    company: Company, customer_id: str, ownership: Ownership, context: ReconcileContext
) -> bool:
    """Restore the company if a late request of an adoption that was undone has tagged it; return whether it had."""
    before = ownership.discarded
    if before is None or before["adopter"] != adopter_digest(company.company_id, customer_id):
        return False
    if before["taggedCustomerId"] == customer_id:
        return False  # it was tagged so before
    context.codat.restore_company(company.company_id, before)
    return True


def _pointer_was_lost(company: Company, customer_id: str, context: ReconcileContext) -> bool:
    """Restore the pointer of a company that has its customer here after all; return whether it was that."""
    customer = context.customers.find(customer_id)
    if customer is None or customer.company_id != company.company_id:
        return False
    return context.customers.restore_pointer(customer)


def _adopt(company: Company, customer_id: str, context: ReconcileContext, counts: Counts) -> None:
    """Adopt the company, unless its customer has another one, or another process is creating it."""
    context.codat.require_trusted_key()
    # If there are two for one id, the oldest is taken, whichever page shows it first.
    oldest = (context.codat.companies_of([customer_id]) or [company])[0]
    profile = Profile(oldest.name, oldest.description, {})
    try:
        acquired = context.customers.acquire(
            customer_id, profile, context.lease_request(), oldest.company_id, profile_unset=True
        )
        if not isinstance(acquired, CreationLease):
            report_duplicates(customer_id, [company], context)
        elif find_out_creation(acquired, context) is not None:
            counts.update(straysAdopted=1, drift=1)
    except (CreationInProgress, DeletionInProgress, CompanyUnknown):
        return
