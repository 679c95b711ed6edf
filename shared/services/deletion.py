"""Deleting a customer: because the app asks for it, or because its company was deleted at Codat.

The order makes every interruption harmless. The company's pointer is marked as ended first, so that no late event can
add a connection. Then the connections become tombstones. The customer and the rest of the pointer go last, together, so
that a repeated call still finds what to delete.
"""

from shared.domain.customers import Deletion
from shared.domain.errors import CodatError, CodatNotFound, Refused, SecretsUnavailable
from shared.services.context import CodatContext, Context
from shared.services.customers import discard_adoption, find_out_creation


def delete_customer(customer_id: str, context: CodatContext) -> None:
    """Delete the company at Codat and the customer here; fine if there is none.

    An unfinished creation is resolved first, or Codat would keep a company that nothing refers to. An unfinished
    adoption is undone: the company existed before, and stays. Raises CreationInProgress and DeletionInProgress while
    another call is doing it, and Codat's errors, after which the same call, repeated, completes.
    """
    deletion = context.customers.begin_deletion(customer_id, context.lease_request())
    if deletion is None:
        lease = context.customers.take_over_creation(customer_id, context.lease_request())
        if lease is None:
            return
        if lease.payload.get("adoptedCompanyId"):
            discard_adoption(lease, context)
            return
        try:
            find_out_creation(lease, context)
        except (Refused, CodatError):
            if context.customers.exists(customer_id):
                raise
            return  # Codat refused the creation for good, so there is nothing to delete
        deletion = context.customers.begin_deletion(customer_id, context.lease_request())
    if deletion is not None:
        finish_deletion(deletion, context)
        context.telemetry.count("CustomerDeleted")


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
