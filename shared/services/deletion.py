"""Delete a customer, by an app's request or because its company was deleted at Codat.

The order makes every interruption harmless. First the company's pointer is marked as ended, so that no late event adds
a connection, and no late call an invitation. Then the invitations are deleted, and the connections become tombstones.
The customer is deleted last, so that a repeated call still finds the rest.
"""

from contextlib import suppress

from shared.domain import errors
from shared.domain.customers import CREATION_TAG, Deletion
from shared.domain.leases import CreationLease
from shared.services import customers
from shared.services.context import CodatContext, Context


def delete_customer(customer_id: str, context: CodatContext) -> None:
    """Delete the company at Codat and the customer; do nothing if there is no such customer.

    An unfinished creation is resolved first, because otherwise its company would stay at Codat. An unfinished adoption
    is undone. Raises CreationInProgress or DeletionInProgress while another call is running or a creation request may
    still run at Codat, and Codat's errors. A repeated call then completes.
    """
    # If the creation turns out to have worked, the next round deletes its customer.
    while begun := context.customers.begin_deletion(customer_id, context.lease_request()):
        if isinstance(begun, Deletion):
            finish_deletion(begun, context)
            context.telemetry.count("CustomerDeleted")
            return
        _resolve(begun, context)


def _resolve(lease: CreationLease, context: CodatContext) -> None:
    """End the lease, with a customer if its company was created by this service, otherwise without a customer."""
    if not customers.is_adoption(lease):
        customers.find_out_creation(lease, context)
    elif CREATION_TAG in lease.payload.get("before", {}).get("tags", {}):
        # This service created the company. If the adoption were undone, reconcile would adopt the orphan again.
        with suppress(*customers.ADOPTION_REFUSALS):
            customers.find_out_creation(lease, context)
    else:
        customers.discard_adoption(lease, context)


def finish_deletion(deletion: Deletion, context: CodatContext) -> None:
    """Delete the company at Codat, and then the customer. Raises Codat's errors, with the deletion released."""
    context.telemetry.note(company_id=deletion.company_id)
    try:
        context.codat.delete_company(deletion.company_id)
    except errors.CodatNotFound:
        pass  # it was deleted elsewhere, or by a first attempt whose answer was lost
    except (errors.CodatError, errors.SecretsUnavailable):
        context.customers.release_deletion(deletion)
        raise
    close_company(deletion.company_id, deletion.customer_id, context)


def close_company(company_id: str, customer_id: str, context: Context) -> None:
    """Delete the customer of a company that was deleted at Codat."""
    context.customers.close_company(company_id, customer_id)
    context.invitations.erase(company_id)
    context.connections.tombstone(company_id, context.now())
    context.customers.delete(company_id, customer_id, context.now())
