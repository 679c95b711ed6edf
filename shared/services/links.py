"""One-time credentials for the customer: read from Codat for the caller that asked, and kept nowhere."""

from dataclasses import dataclass, field

from shared.domain.customers import AccessToken
from shared.domain.errors import CodatNotFound, CodatUnavailable, CompanyGone, ConnectionIsDeleted
from shared.domain.instants import Instant, instant_of
from shared.services.connections import ask_for, find_connection
from shared.services.existence import customer_or_refuse
from shared.services.ports import Call, Codat, Connections, Customers


@dataclass(frozen=True, slots=True)
class Link:
    url: str = field(repr=False)
    issued_at: Instant


def company_link(customer_id: str, *, call: Call, customers: Customers, codat: Codat) -> Link:
    """The Hosted Link page, where the customer picks the platform.

    Raises CustomerNotFound, CompanyGone and Codat's errors.
    """
    customer = customer_or_refuse(customer_id, customers)
    call.telemetry.note(company_id=customer.company_id)
    company = codat.company(customer.company_id)
    if company is None:
        raise CompanyGone(customer_id)
    return _link(company.link_url, call)


def connection_link(
    customer_id: str,
    connection_id: str,
    *,
    call: Call,
    customers: Customers,
    connections: Connections,
    codat: Codat,
) -> Link:
    """Where the customer authorises this connection, or reconnects it.

    Raises CustomerNotFound, ConnectionNotFound, ConnectionIsDeleted and Codat's errors.
    """
    customer, known = find_connection(customer_id, connection_id, customers=customers, connections=connections)
    call.telemetry.note(company_id=known.company_id)
    if known.is_deleted:
        raise ConnectionIsDeleted(connection_id)
    connection, observed = ask_for(known, customer, call=call, connections=connections, codat=codat)
    if connection.is_deleted:
        raise ConnectionIsDeleted(connection_id)
    return _link(observed.link_url, call)


def access_token(customer_id: str, *, call: Call, customers: Customers, codat: Codat) -> AccessToken:
    """For Codat's embedded Link component. Raises CustomerNotFound, CompanyGone and Codat's errors."""
    customer = customer_or_refuse(customer_id, customers)
    call.telemetry.note(company_id=customer.company_id)
    try:
        return codat.access_token(customer.company_id)
    except CodatNotFound as gone:
        raise CompanyGone(customer_id) from gone


def _link(url: str | None, call: Call) -> Link:
    if not url:
        raise CodatUnavailable("Codat's answer made no sense (no link).")
    return Link(url, instant_of(call.now()))
