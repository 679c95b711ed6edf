"""One-time credentials for the customer: read from Codat for the caller, and stored nowhere."""

from dataclasses import dataclass, field

from shared.domain.customers import AccessToken
from shared.domain.errors import CodatInvalidResponse, CodatNotFound, CompanyGone, ConnectionIsDeleted
from shared.domain.timestamps import Timestamp
from shared.services.connections import find_connection, read_from_codat
from shared.services.context import CodatContext
from shared.services.profile import get_customer


@dataclass(frozen=True, slots=True)
class Link:
    url: str = field(repr=False)
    issued_at: Timestamp


def company_link(customer_id: str, context: CodatContext) -> Link:
    """Return the Hosted Link page, where the customer chooses the platform.

    Raises CustomerNotFound, CompanyGone and Codat's errors.
    """
    customer = get_customer(customer_id, context)
    company = context.codat.company(customer.company_id)
    if company is None:
        raise CompanyGone(customer_id)
    return _link(company.link_url, context)


def connection_link(customer_id: str, connection_id: str, context: CodatContext) -> Link:
    """Return a link where the customer authorises this connection, or reconnects it.

    Raises CustomerNotFound, ConnectionNotFound, ConnectionIsDeleted and Codat's errors.
    """
    stored = find_connection(customer_id, connection_id, context)
    if stored.is_deleted:
        raise ConnectionIsDeleted(connection_id)
    connection, snapshot = read_from_codat(stored, context, link_issued=True)
    if connection.is_deleted:
        raise ConnectionIsDeleted(connection_id)
    return _link(snapshot.link_url, context)


def access_token(customer_id: str, context: CodatContext) -> AccessToken:
    """Return a token for Codat's embedded Link component. Raises CustomerNotFound, CompanyGone and Codat's errors."""
    customer = get_customer(customer_id, context)
    try:
        return context.codat.access_token(customer.company_id)
    except CodatNotFound as error:
        raise CompanyGone(customer_id) from error


def _link(url: str | None, context: CodatContext) -> Link:
    if not url:
        raise CodatInvalidResponse("Codat returned an invalid response (no link).")
    return Link(url, context.timestamp())
