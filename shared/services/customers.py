"""Customers and their companies."""

from dataclasses import dataclass

from shared.domain.claims import Claim
from shared.domain.connections import Connection
from shared.domain.customers import Content, Customer
from shared.domain.errors import CustomerConflict, CustomerNotFound
from shared.services.creation import Creation
from shared.services.ports import Call, Claims, Codat, Connections, Customers


@dataclass(frozen=True, slots=True)
class CustomerView:
    customer: Customer
    connections: list[Connection]
    """Those that exist; deleted ones are left out."""


def create_customer(
    customer_id: str, content: Content, *, call: Call, customers: Customers, claims: Claims, codat: Codat
) -> tuple[Customer, bool]:
    """The customer with its company, and whether this call brought it about.

    Raises CustomerConflict where the id stands for other content, CreationInProgress where another call is at it,
    and Codat's errors, after which the same call, repeated, completes.
    """
    taken = customers.claim(customer_id, content, call.terms())
    if isinstance(taken, Claim):
        customer = _create(taken, customer_id, call=call, customers=customers, claims=claims, codat=codat)
    else:
        customer = taken
    call.telemetry.note(company_id=customer.company_id)
    if differing := customer.content.differing_fields(content):
        raise CustomerConflict(customer_id, differing)
    return customer, isinstance(taken, Claim)


def _create(
    claim: Claim, customer_id: str, *, call: Call, customers: Customers, claims: Claims, codat: Codat
) -> Customer:
    # A claim that was taken over asks for what its first holder asked for: Codat refuses a key with another body.
    content = Content(claim.payload["name"], claim.payload.get("description"), claim.payload["tags"])

    def look_up() -> str | None:
        found = codat.companies_of(customer_id)
        if len(found) > 1:
            call.telemetry.count("DuplicateCompanies")
            call.telemetry.warn("two companies for one customer", companies=[one.company_id for one in found])
        return found[0].company_id if found else None

    creation = Creation(
        claim,
        lambda key: codat.create_company(customer_id, content, key),
        look_up,
        lambda company_id: company_id if codat.company(company_id) else None,
        claims=claims,
        call=call,
    )
    company_id = creation.run(codat.seconds_left)
    customer = customers.activate(creation.claim, company_id, call.now())
    call.telemetry.count("CustomerCreated")
    return customer


def customer_or_refuse(customer_id: str, customers: Customers) -> Customer:
    """Raises CustomerNotFound."""
    customer = customers.find(customer_id)
    if customer is None:
        raise CustomerNotFound(customer_id)
    return customer


def read_customer(customer_id: str, *, customers: Customers, connections: Connections) -> CustomerView:
    """Raises CustomerNotFound."""
    customer = customer_or_refuse(customer_id, customers)
    found = connections.of_company(customer.company_id)
    return CustomerView(customer, [connection for connection in found if not connection.is_deleted])
