"""Fresh one-time credentials for the customer: Hosted Link, a connection's link, a token for the embedded component."""

from http import HTTPStatus

from shared import bootstrap
from shared.runtime.documents import link_document, token_document
from shared.runtime.edge import Answer, Request, http_handler
from shared.services.links import access_token, company_link, connection_link


def company(request: Request) -> Answer:
    link = company_link(
        request.customer_id,
        call=bootstrap.call(request),
        customers=bootstrap.customers(),
        codat=bootstrap.codat(request.context),
    )
    return Answer(HTTPStatus.OK, link_document(link.url, link.issued_at))


def connection(request: Request) -> Answer:
    link = connection_link(
        request.customer_id,
        request.connection_id,
        call=bootstrap.call(request),
        customers=bootstrap.customers(),
        connections=bootstrap.connections(),
        codat=bootstrap.codat(request.context),
    )
    return Answer(HTTPStatus.OK, link_document(link.url, link.issued_at))


def token(request: Request) -> Answer:
    issued = access_token(
        request.customer_id,
        call=bootstrap.call(request),
        customers=bootstrap.customers(),
        codat=bootstrap.codat(request.context),
    )
    return Answer(HTTPStatus.OK, token_document(issued))


handler = http_handler(
    {
        "POST /customers/{customerId}/link": company,
        "POST /customers/{customerId}/connections/{connectionId}/link": connection,
        "POST /customers/{customerId}/access-token": token,
    }
)
