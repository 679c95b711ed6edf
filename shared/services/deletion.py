"""Deleting a customer: because the app asks for it, or because its company was deleted at Codat.

The order makes every interruption harmless. The company's pointer is marked as ended first, so that no late event can
add a connection. Then the connections become tombstones. The customer and the rest of the pointer go last, together, so
that a repeated call still finds what to delete.
"""

from contextlib import suppress

from shared.domain.customers import Deletion
from shared.domain.errors import (
    CodatError,
    CodatNotFound,
    CodatRejected,
    CompanyTaken,
    CompanyUnknown,
    SecretsUnavailable,
    TooManyTags,
)
from shared.domain.leases import CreationLease
from shared.services.context import CodatContext, Context
from shared.services.customers import (
    adopts_own_company,
    discard_adoption,
    find_out_creation,
    finish_creation,
    is_adoption,
)


def delete_customer(customer_id: str, context: CodatContext) -> None:
    """Delete the company at Codat and the customer here; fine if there is none.

    An unfinished creation is resolved first, or Codat would keep a company that nothing refers to. An unfinished
    adoption is undone: the company existed before, and stays. Raises CreationInProgress and DeletionInProgress while
    another call is doing it, or a creation may still be running at Codat, and Codat's errors. The same call, repeated,
    then completes.
    """
    # Between these reads another process may finish a creation, which is then deleted in the next round.
    while True:
        if deletion := context.customers.begin_deletion(customer_id, context.lease_request()):
            finish_deletion(deletion, context)
            context.telemetry.count("CustomerDeleted")
            return
        if lease := context.customers.take_over_creation(customer_id, context.lease_request()):
            _resolve(lease, context)
        elif not context.customers.exists(customer_id):
            return


def _resolve(lease: CreationLease, context: CodatContext) -> None:
    """End the lease: with a customer, if its company was created by this service, otherwise without one."""
    if not is_adoption(lease):
        find_out_creation(lease, context)
    elif not adopts_own_company(lease):
        discard_adoption(lease, context)
    else:
        # Undone, it would be an orphan that reconcile adopts again.
        with suppress(CompanyUnknown, CompanyTaken, TooManyTags, CodatRejected):  # these have undone it
            finish_creation(lease, context)


def finish_deletion(deletion: Deletion, context: CodatContext) -> None:
    """Delete the company at Codat, and then the customer. Raises Codat's errors, with the deletion released."""
    context.telemetry.note(company_id=deletion.company_id)
    try:
        context.codat.delete_company(deletion.company_id)
    except CodatNotFound:
        pass  # deleted already, or by a first attempt whose answer was lost
    except (CodatError, SecretsUnavailable):
        context.customers.release_deletion(deletion)
        raise
    close_company(deletion.company_id, deletion.customer_id, context)


def close_company(company_id: str, customer_id: str, context: Context) -> None:
    """Delete a customer whose company is gone at Codat."""
    context.customers.close_company(company_id, customer_id)
    context.connections.tombstone(company_id, context.now())
    context.customers.delete(company_id, customer_id, context.now())
