"""Fresh one-time credentials for the customer: Hosted Link, a connection's link, a token for the embedded component."""

from http import HTTPStatus

from shared import bootstrap
from shared.http.responses import link_document, token_document
from shared.http.router import Request, Response, http_handler
from shared.services.links import access_token, company_link, connection_link


def company(request: Request) -> Response:
    link = company_link(request.customer_id, bootstrap.codat_context(request))
    return Response(HTTPStatus.OK, link_document(link.url, link.issued_at))


def connection(request: Request) -> Response:
    link = connection_link(request.customer_id, request.connection_id, bootstrap.codat_context(request))
    return Response(HTTPStatus.OK, link_document(link.url, link.issued_at))


def token(request: Request) -> Response:
    return Response(HTTPStatus.OK, token_document(access_token(request.customer_id, bootstrap.codat_context(request))))


handler = http_handler(
    {
        "POST /customers/{customerId}/link": company,
        "POST /customers/{customerId}/connections/{connectionId}/link": connection,
        "POST /customers/{customerId}/access-token": token,
    }
)
