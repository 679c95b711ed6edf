"""Customers and their companies: created, adopted, read."""

from dataclasses import dataclass, replace

from shared.domain.claims import Claim
from shared.domain.connections import Connection, Rank, stamp
from shared.domain.customers import Company, Content, Customer, as_codat_spells, content_of, kept_beside
from shared.domain.errors import (
    CodatError,
    CodatNotFound,
    CodatRejected,
    CompanyGone,
    CompanyTaken,
    CompanyUnknown,
    CustomerConflict,
    SecretsUnavailable,
    TooManyTags,
)
from shared.domain.pages import Page
from shared.services.content import ensure_content
from shared.services.creation import Creation
from shared.services.existence import customer_or_refuse
from shared.services.ports import Call, Claims, Codat, Connections, Customers
from shared.services.register import hear, hear_read


@dataclass(frozen=True, slots=True)
class CustomerView:
    customer: Customer
    connections: list[Connection]
    """Those that exist; deleted ones are left out."""


def create_customer(
    customer_id: str,
    content: Content,
    company_id: str | None = None,
    *,
    call: Call,
    customers: Customers,
    connections: Connections,
    claims: Claims,
    codat: Codat,
) -> tuple[Customer, bool]:
    """The customer with its company, and whether this call brought it about; with `company_id`, with that company.

    Raises CustomerConflict where the id stands for other content, CreationInProgress and DeletionInProgress where
    another call is at it, CompanyUnknown, CompanyTaken and TooManyTags for a company that can't be adopted, and
    Codat's errors, after which the same call, repeated, completes.
    """
    company_id = None if company_id is None else as_codat_spells(company_id)
    taken = customers.claim(customer_id, content, call.terms(), company_id)
    if isinstance(taken, Claim):
        customer = finish_creation(
            taken, call=call, customers=customers, connections=connections, claims=claims, codat=codat
        )
    else:
        customer = taken
    call.telemetry.note(company_id=customer.company_id)
    if company_id is not None and company_id != customer.company_id:
        raise CustomerConflict(customer_id, ["companyId"])
    customer = ensure_content(customer, content, call=call, customers=customers, codat=codat)
    return customer, isinstance(taken, Claim)


def finish_creation(
    claim: Claim, *, call: Call, customers: Customers, connections: Connections, claims: Claims, codat: Codat
) -> Customer:
    """The customer that a claim was taken for: its first holder's, where it was taken over."""
    if claim.payload.get("adoptedCompanyId"):
        return _adopt(claim, call=call, customers=customers, connections=connections, claims=claims, codat=codat)
    return _create(claim, call=call, customers=customers, claims=claims, codat=codat)


def _create(claim: Claim, *, call: Call, customers: Customers, claims: Claims, codat: Codat) -> Customer:
    customer_id = claim.payload["customerId"]
    # A claim that was taken over asks for what its first holder asked for: Codat refuses a key with another body.
    content = content_of(claim.payload)

    def look_up() -> str | None:
        found = codat.companies_of([customer_id])
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
    try:
        customer = customers.activate(creation.claim, company_id, call.now(), key_id=codat.key_id)
    except CompanyTaken as ended:
        # Codat has deleted it again in the meantime.
        claims.drop(creation.claim)
        raise CompanyGone(customer_id) from ended
    call.telemetry.count("CustomerCreated")
    return customer


def _adopt(
    claim: Claim, *, call: Call, customers: Customers, connections: Connections, claims: Claims, codat: Codat
) -> Customer:
    """The company is reserved first, so that of two customers that want it one is refused before anything is changed.
    Tags second, connections third, so that an event in between is already known as ours; the customer last, so that
    whoever repeats the call after a crash does all of it again.
    """
    customer_id, company_id = claim.payload["customerId"], claim.payload["adoptedCompanyId"]
    content, may_be_tagged = content_of(claim.payload), not claim.fresh
    try:
        company = _adoptable(customer_id, company_id, content, customers, codat)
        customers.reserve(claim, company_id)
        may_be_tagged = True
        codat.update_company(company_id, customer_id, content, company.tags)
        bring_in(company_id, customer_id, call=call, connections=connections, codat=codat)
        customer = customers.activate(claim, company_id, call.now(), key_id=codat.key_id, kept_tags=company.tags)
    except (CompanyUnknown, CompanyTaken, CompanyGone, TooManyTags, CodatNotFound, CodatRejected):
        # Refused for good: it must not bind a corrected call.
        customers.abandon(claim, company_id)
        raise
    except (CodatError, SecretsUnavailable):
        # A company that may carry the customer's tag must not be forgotten: the next call would make a second one.
        (claims.release if may_be_tagged else claims.drop)(claim)
        raise
    call.telemetry.count("CustomerAdopted")
    return customer


def _adoptable(customer_id: str, company_id: str, content: Content, customers: Customers, codat: Codat) -> Company:
    """The company, with the tags that it keeps beside the content's."""
    owner = customers.ownership(company_id).customer_id
    company = codat.company(company_id)
    if company is None:
        raise CompanyUnknown(company_id)
    if {owner, company.customer_id} - {None, customer_id}:
        raise CompanyTaken(company_id)
    return replace(company, tags=kept_beside(content, company.tags))


def bring_in(company_id: str, customer_id: str, *, call: Call, connections: Connections, codat: Codat) -> None:
    """Stores the connections that a company has at Codat."""
    known = {one.connection_id: one for one in connections.of_company(company_id)}
    for observed in codat.connections(company_id):
        if one := known.get(observed.connection_id):
            # It may have been heard of as another's, whose adoption came to nothing.
            hear_read(observed, replace(one, customer_id=customer_id), call=call, connections=connections)
        else:
            hear(
                observed.report(company_id, stamp(observed.at, Rank.READ, call.new_id())),
                customer_id=customer_id,
                happening="adopted",
                call=call,
                connections=connections,
                known=None,
            )


def read_customer(customer_id: str, *, customers: Customers, connections: Connections) -> CustomerView:
    """Raises CustomerNotFound."""
    return with_connections(customer_or_refuse(customer_id, customers), connections)


def list_customers(
    limit: int, cursor: str | None, *, customers: Customers, connections: Connections
) -> Page[CustomerView]:
    """Raises InvalidQuery where the cursor is none of ours."""
    page = customers.page(limit, cursor)
    return Page([with_connections(customer, connections) for customer in page.items], page.cursor)


def find_by_company(company_id: str, *, customers: Customers, connections: Connections) -> Page[CustomerView]:
    """The customer of a company, as Codat's return redirect names it; none where it is nobody's."""
    company_id = as_codat_spells(company_id)
    customer_id = customers.ownership(company_id).customer_id
    customer = customers.find(customer_id) if customer_id else None
    found = [with_connections(customer, connections)] if customer and customer.company_id == company_id else []
    return Page(found, None)


def with_connections(customer: Customer, connections: Connections) -> CustomerView:
    found = connections.of_company(customer.company_id)
    return CustomerView(customer, [connection for connection in found if not connection.is_deleted])
