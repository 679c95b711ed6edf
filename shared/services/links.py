"""One-time credentials for the customer: read from Codat and returned, but not stored."""

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
    """Return a link to the Hosted Link page, where the customer chooses the platform.

    Raises CustomerNotFound, CompanyGone and Codat's errors.
    """
    company = context.codat.company(get_customer(customer_id, context).company_id)
    if company is None:
        raise CompanyGone(customer_id)
    return _link(company.link_url, context)


def connection_link(customer_id: str, connection_id: str, context: CodatContext) -> Link:
    """Return a link for authorising this connection, for the first time or again.

    Raises CustomerNotFound, ConnectionNotFound, ConnectionIsDeleted and Codat's errors.
    """
    stored = find_connection(customer_id, connection_id, context)
    if stored.is_deleted:
        raise ConnectionIsDeleted(connection_id)
    _, snapshot = read_from_codat(stored, context, link_issued=True)
    return _link(snapshot.link_url, context)


def access_token(customer_id: str, context: CodatContext) -> AccessToken:
    """Return a token for Codat's embedded Link component. Raises CustomerNotFound, CompanyGone and Codat's errors."""
    try:
        return context.codat.access_token(get_customer(customer_id, context).company_id)
    except CodatNotFound as error:
        raise CompanyGone(customer_id) from error


def _link(url: str | None, context: CodatContext) -> Link:
    if not url:
        raise CodatInvalidResponse("Codat returned an invalid response (no link).")
    return Link(url, context.timestamp())
