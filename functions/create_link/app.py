"""Return fresh credentials: a Hosted Link URL, a connection's link, a token for the embedded component."""

from http import HTTPStatus

from shared.bootstrap import codat
from shared.http.router import Request, Response, Route, http_handler
from shared.services.links import access_token, company_link, connection_link


def company(request: Request) -> Response:
    context = codat.context(request)
    url = company_link(request.customer_id, context)
    return Response(HTTPStatus.OK, {"linkUrl": url, "issuedAt": context.timestamp()})


def connection(request: Request) -> Response:
    context = codat.context(request)
    url = connection_link(request.customer_id, request.connection_id, context)
    return Response(HTTPStatus.OK, {"linkUrl": url, "issuedAt": context.timestamp()})


def token(request: Request) -> Response:
    token = access_token(request.customer_id, codat.context(request))
    document = {"accessToken": token.token, "expiresIn": token.expires_in, "tokenType": token.token_type}
    return Response(HTTPStatus.OK, document)


handler = http_handler(
    {
        "POST /customers/{customerId}/link": Route(company),
        "POST /customers/{customerId}/connections/{connectionId}/link": Route(connection),
        "POST /customers/{customerId}/access-token": Route(token),
    }
)
codat.initialize()
