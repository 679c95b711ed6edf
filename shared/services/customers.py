"""Create, adopt and read customers with their companies."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.domain import errors
from shared.domain.connections import Connection
from shared.domain.customers import CREATION_TAG, Company, Customer, Profile, merge_tags, profile_of, split_tags
from shared.domain.leases import CreationLease
from shared.services.connection_state import sync_connections
from shared.services.context import CodatContext, Context
from shared.services.creation import IdempotentCreation
from shared.services.profile import ensure_profile

ADOPTION_REFUSALS = (errors.CompanyUnknown, errors.CompanyTaken, errors.TooManyTags, errors.CodatRejected)
"""After these errors of an adoption, it is undone."""


def create_customer(
    customer_id: str, profile: Profile, context: CodatContext, company_id: str | None = None
) -> tuple[Customer, list[Connection], bool]:
    """Return the customer, its connections, and whether this call created it. With `company_id`, adopt that company.

    Raises CustomerConflict if the customer exists with another profile or company, CreationInProgress or
    DeletionInProgress while another call is running, CompanyUnknown, CompanyTaken and TooManyTags for a company that
    can't be adopted, and Codat's errors, after which a repeated call completes.
    """
    acquired = context.customers.acquire(customer_id, profile, context.lease_request(), company_id)
    adopted = acquired.payload.get("adoptedCompanyId") if isinstance(acquired, CreationLease) else None
    if isinstance(acquired, CreationLease) and None not in {company_id, adopted} and company_id != adopted:
        # The lease is on an incomplete adoption of another company, which this call replaces.
        discard_adoption(acquired, context)
        acquired = context.customers.acquire(customer_id, profile, context.lease_request(), company_id)
    created = isinstance(acquired, CreationLease)
    customer = _finish_creation(acquired, context) if isinstance(acquired, CreationLease) else acquired
    context.telemetry.note(company_id=customer.company_id)
    if company_id not in {None, customer.company_id}:
        raise errors.CustomerConflict(customer_id, ["companyId"])
    if company_id is not None and not created:
        # The process that adopted the company may have crashed before it stored the connections.
        listed = context.codat.connections(company_id)
        sync_connections(listed, customer, context, event_type="adopted")
    customer = ensure_profile(customer, profile, context)
    # A new company has no connections: they are not read.
    is_new = isinstance(acquired, CreationLease) and not is_adoption(acquired)
    return customer, [] if is_new else existing_connections(customer, context), created


def _finish_creation(lease: CreationLease, context: CodatContext) -> Customer:
    """Return the customer of the lease; after a takeover, as it was requested first."""
    if is_adoption(lease):
        return _adopt(lease, context)
    creation = _company_creation(lease, context)
    return _activate(creation.run(), creation.lease, context)


def find_out_creation(lease: CreationLease, context: CodatContext) -> Customer | None:
    """Return the customer if its company was created before a crash; None, with the lease discarded, if it was not.

    An adoption is finished. Raises CreationInProgress while a request may still be running at Codat, the errors of an
    adoption, and Codat's errors.
    """
    if is_adoption(lease):
        return _adopt(lease, context)
    creation = _company_creation(lease, context)
    if (company_id := creation.find_out()) is not None:
        return _activate(company_id, creation.lease, context)
    context.leases.discard(creation.lease)
    return None


def _company_creation(lease: CreationLease, context: CodatContext) -> IdempotentCreation[str]:
    customer_id = lease.payload["customerId"]
    # After a takeover, send the original request body: Codat rejects an idempotency key reused with another body.
    profile = profile_of(lease.payload)

    def find_existing() -> str | None:
        company_ids = context.codat.find_creation(customer_id, lease.creation_id)
        if len(company_ids) > 1:
            report_duplicates(customer_id, company_ids, context)
        return company_ids[0] if company_ids else None

    return IdempotentCreation(
        lease,
        context,
        send=lambda lease: context.codat.create_company(customer_id, profile, lease.creation_id, lease.idempotency_key),
        find_existing=find_existing,
        verify=lambda company_id: company_id if context.codat.has_company(company_id) else None,
    )


def _activate(company_id: str, lease: CreationLease, context: CodatContext) -> Customer:
    try:
        customer = context.customers.activate(lease, company_id, context.now(), {CREATION_TAG: lease.creation_id})
    except errors.CompanyTaken as error:
        # An explicit call has adopted it for another customer. A repeated call creates a new company.
        context.leases.discard(lease)
        raise errors.CreationInProgress(lease.subject, 1) from error
    context.telemetry.count("CustomerCreated")
    return customer


def _adopt(lease: CreationLease, context: CodatContext) -> Customer:
    """Adopt the lease's company for its customer.

    Reserving the company first ensures that a second adopter is refused before anything is changed at Codat. The
    customer is stored last: until then webhooks have no effect, and `discard_adoption` can undo the adoption.
    """
    customer_id, company_id = lease.payload["customerId"], lease.payload["adoptedCompanyId"]
    profile = profile_of(lease.payload)
    try:
        context.codat.require_trusted_key(company_id)
        company = _adoptable(customer_id, company_id, context)
        _, existing_tags = split_tags(
            lease.payload["before"]["tags"] if "before" in lease.payload else company.profile.tags
        )
        merge_tags(profile, existing_tags)  # raises TooManyTags
        lease = context.customers.reserve(lease, company, context.now())
        context.codat.update_company(company_id, customer_id, profile, existing_tags)
        listed = context.codat.connections(company_id)  # reconcile reports those that can't be parsed
        customer = context.customers.activate(lease, company_id, context.now(), existing_tags)
    except (*ADOPTION_REFUSALS, errors.CodatNotFound) as error:
        discard_adoption(lease, context)  # so that a corrected call can start again
        if isinstance(error, errors.CodatNotFound):
            raise errors.CompanyUnknown(company_id) from error
        raise
    except (errors.CodatError, errors.SecretsUnavailable):
        _end_lease(lease, context)
        raise
    context.telemetry.count("CustomerAdopted")
    sync_connections(listed, customer, context, event_type="adopted")
    return customer


def discard_adoption(lease: CreationLease, context: CodatContext) -> None:
    """Undo an incomplete adoption, and end the lease. Raises Codat's errors, after which a repeated call completes."""
    company_id = lease.payload["adoptedCompanyId"]
    try:
        if "before" in lease.payload:
            restore_company(company_id, lease.payload["customerId"], lease.payload["before"], context)
    except (errors.CodatNotFound, errors.CodatRejected):
        pass  # the company was deleted, or Codat rejects its former content, which reconcile tries again and reports
    except (errors.CodatError, errors.SecretsUnavailable):
        _end_lease(lease, context)
        raise
    context.customers.discard_adoption(lease, context.now())


def restore_company(company_id: str, customer_id: str, before: Mapping[str, Any], context: CodatContext) -> bool:
    """Restore the company's earlier content if it has the customer's tag now; return whether it had."""
    company = context.codat.company(company_id)
    # Without the tag, the adoption has not changed the company yet, or others have changed it since.
    if company is None or company.tagged_customer_id != customer_id:
        return False
    context.codat.restore_company(company_id, before)
    return True


def _end_lease(lease: CreationLease, context: CodatContext) -> None:
    """Release the lease on an adoption; discard it if the company was not changed at Codat."""
    (context.leases.release if "before" in lease.payload else context.leases.discard)(lease)


def is_adoption(lease: CreationLease) -> bool:
    return lease.payload.get("adoptedCompanyId") is not None


def _adoptable(customer_id: str, company_id: str, context: CodatContext) -> Company:
    """Return the company as it is without an adoption by this customer. Raises CompanyUnknown, CompanyTaken."""
    ownership = context.customers.ownership(company_id)
    company = context.codat.company(company_id)
    if company is None:
        raise errors.CompanyUnknown(company_id)
    if {ownership.customer_id, company.tagged_customer_id} - {None, customer_id}:
        raise errors.CompanyTaken(company_id)
    before = ownership.before_adoption_by(customer_id, company_id)
    if company.tagged_customer_id is None or not before:
        return company
    # A late request of an adoption that was undone has changed the company.
    return replace(company, tagged_customer_id=None, profile=profile_of(before))


def report_duplicates(customer_id: str, company_ids: Sequence[str], context: Context) -> None:
    """Report several companies for one customer. An operator decides which to delete."""
    context.telemetry.count("DuplicateCompanies")
    context.telemetry.warn("two companies for one customer", customer_id=customer_id, companies=company_ids)


def find_by_company(company_id: str, context: Context) -> Customer | None:
    """Return the company's customer. Codat's redirect after linking contains only the company's id."""
    customer_id = context.customers.ownership(company_id).owner
    customer = context.customers.find(customer_id) if customer_id else None
    return customer if customer is not None and customer.company_id == company_id else None


def existing_connections(customer: Customer, context: Context) -> list[Connection]:
    """Return the connections that are not deleted, oldest first."""
    connections = context.connections.of_company(customer.company_id)
    return [connection for connection in connections if not connection.is_deleted]
