"""Fresh credentials for the customer: links, and the token of the embedded component. They are not stored."""

from shared.domain.customers import AccessToken
from shared.domain.errors import CodatInvalidResponse, CodatNotFound, CompanyGone, ConnectionIsDeleted
from shared.services.connections import find_connection, read_from_codat
from shared.services.context import CodatContext
from shared.services.profile import get_customer


def company_link(customer_id: str, context: CodatContext) -> str:
    """Return the URL of the Hosted Link page. Raises CustomerNotFound, CompanyGone and Codat's errors."""
    company = context.codat.company(get_customer(customer_id, context).company_id)
    if company is None:
        raise CompanyGone(customer_id)
    return require_link(company.link_url)


def connection_link(customer_id: str, connection_id: str, context: CodatContext) -> str:
    """Return a fresh link, and store the connection as Codat returned it.

    Raises CustomerNotFound, ConnectionNotFound, ConnectionIsDeleted and Codat's errors.
    """
    stored = find_connection(customer_id, connection_id, context)
    if stored.is_deleted:
        raise ConnectionIsDeleted(connection_id)
    _, answer = read_from_codat(stored, context, link_issued=True)
    return require_link(answer.link_url)


def access_token(customer_id: str, context: CodatContext) -> AccessToken:
    """Return a token for Codat's embedded Link component. Raises CustomerNotFound, CompanyGone and Codat's errors."""
    try:
        return context.codat.access_token(get_customer(customer_id, context).company_id)
    except CodatNotFound as error:
        raise CompanyGone(customer_id) from error


def require_link(url: str | None) -> str:
    """Return the link. Raises CodatInvalidResponse if Codat sent none."""
    if not url:
        raise CodatInvalidResponse("Codat returned an invalid response (no link).")
    return url
