"""Ending a customer: by the app's wish, or because Codat has deleted its company.

The order makes every interruption harmless. The company's pointer says "ended" first, so that nothing late can add a
connection; the connections become tombstones; the customer goes last, together with what is left of the pointer, so
that whoever repeats an interrupted call still finds what to end.
"""

from shared.domain.claims import Claim
from shared.domain.customers import Deletion
from shared.domain.errors import CodatError
from shared.services.customers import finish_creation
from shared.services.ports import Call, Claims, Codat, Connections, Customers


def delete_customer(
    customer_id: str, *, call: Call, customers: Customers, connections: Connections, claims: Claims, codat: Codat
) -> None:
    """Deletes the company at Codat and forgets the customer; fine where there is none.

    Raises CreationInProgress and DeletionInProgress where another call is at it, and Codat's errors, after which the
    same call, repeated, completes.
    """
    begun = customers.begin_deletion(customer_id, call.terms())
    if isinstance(begun, Claim):
        finish_creation(begun, call=call, customers=customers, connections=connections, claims=claims, codat=codat)
        begun = customers.begin_deletion(customer_id, call.terms())
    if not isinstance(begun, Deletion):
        return
    finish_deletion(begun, call=call, customers=customers, connections=connections, codat=codat)
    call.telemetry.count("CustomerDeleted")


def finish_deletion(
    deletion: Deletion, *, call: Call, customers: Customers, connections: Connections, codat: Codat
) -> None:
    call.telemetry.note(company_id=deletion.company_id)
    try:
        codat.delete_company(deletion.company_id)
    except CodatError:
        customers.release_deletion(deletion)
        raise
    end_company(deletion.company_id, deletion.customer_id, call=call, customers=customers, connections=connections)


def end_company(
    company_id: str, customer_id: str, *, call: Call, customers: Customers, connections: Connections
) -> None:
    """Forgets a customer whose company is gone at Codat."""
    customers.end_company(company_id, customer_id)
    connections.bury(company_id, call.now())
    customers.forget(company_id, customer_id, call.now())
