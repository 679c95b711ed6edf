"""Whether a customer exists here, and whether what Codat does not know is gone there.

Another Codat client's API key is a valid one, and finds nothing of ours. What ends here can't come back, so a 404 ends
a company or a connection only under a key that has shown the company.
"""

from shared.domain.connections import Connection, Rank
from shared.domain.customers import Customer
from shared.domain.errors import CodatRejectedCredentials, CustomerNotFound
from shared.domain.instants import instant_of
from shared.services.ports import Call, Codat, Connections, Customers
from shared.services.register import hear_deleted


def customer_or_refuse(customer_id: str, customers: Customers) -> Customer:
    """Raises CustomerNotFound."""
    customer = customers.find(customer_id)
    if customer is None:
        raise CustomerNotFound(customer_id)
    return customer


def refuse_strange_key(company_id: str, key_id: str, codat: Codat) -> None:
    """After a 404: raises CodatRejectedCredentials unless the API key has shown the company before (`key_id`), or
    does now.
    """
    if codat.key_id != key_id and codat.company(company_id) is None:
        raise CodatRejectedCredentials(
            f"Codat does not know company {company_id} under the present API key, which has never shown it. Is the key "
            "another Codat client's? Nothing was ended."
        )


def hear_gone(
    known: Connection,
    customer: Customer,
    *,
    happening: str = "read",
    call: Call,
    connections: Connections,
    codat: Codat,
) -> Connection:
    """The connection after Codat has answered 404 for it: deleted. Codat doesn't say when, so it is now.

    Raises CodatRejectedCredentials where the API key may be another client's.
    """
    refuse_strange_key(known.company_id, customer.key_id, codat)
    return hear_deleted(known, instant_of(call.now()), Rank.READ, happening, call=call, connections=connections)
