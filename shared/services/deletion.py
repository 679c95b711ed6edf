"""Ending a customer: by the app's wish, or because Codat has deleted its company.

The order makes every interruption harmless. The company's pointer says "ended" first, so that nothing late can add a
connection; the connections become tombstones; the customer goes last, together with what is left of the pointer, so
that whoever repeats an interrupted call still finds what to end.
"""

from collections.abc import Callable

from shared.domain.claims import Claim
from shared.domain.customers import Deletion
from shared.domain.errors import CodatError, CodatNotFound, Refused
from shared.services.customers import finish_creation
from shared.services.existence import refuse_strange_key
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
        try:
            finish_creation(begun, call=call, customers=customers, connections=connections, claims=claims, codat=codat)
        except (Refused, CodatError):
            if not customers.is_free(customer_id):
                raise
            # Refused for good, and so forgotten: there is nothing to delete.
            return
        begun = customers.begin_deletion(customer_id, call.terms())
    if not isinstance(begun, Deletion):
        return
    finish_deletion(begun, call=call, customers=customers, connections=connections, codat=codat)
    call.telemetry.count("CustomerDeleted")


def finish_deletion(
    deletion: Deletion,
    *,
    call: Call,
    customers: Customers,
    connections: Connections,
    codat: Codat,
    key_is_ours: Callable[[], bool] = lambda: False,
) -> None:
    """Raises Codat's errors, CodatRejectedCredentials also where Codat does not know the company and the API key may be
    another client's; `key_is_ours` says where it certainly isn't.
    """
    call.telemetry.note(company_id=deletion.company_id)
    try:
        _delete_at_codat(deletion, codat, key_is_ours)
    except CodatError:
        customers.release_deletion(deletion)
        raise
    end_company(deletion.company_id, deletion.customer_id, call=call, customers=customers, connections=connections)


def _delete_at_codat(deletion: Deletion, codat: Codat, key_is_ours: Callable[[], bool]) -> None:
    try:
        codat.delete_company(deletion.company_id)
    except CodatNotFound:
        if not key_is_ours():
            refuse_strange_key(deletion.company_id, deletion.key_id, codat)


def end_company(
    company_id: str, customer_id: str, *, call: Call, customers: Customers, connections: Connections
) -> None:
    """Forgets a customer whose company is gone at Codat."""
    customers.end_company(company_id, customer_id)
    connections.bury(company_id, call.now())
    customers.forget(company_id, customer_id, call.now())
