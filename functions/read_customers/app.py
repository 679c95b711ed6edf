"""The read routes: a customer, its connections and its invitations; the lists are in `lists`."""

from http import HTTPStatus

from functions.read_customers import lists
from shared.bootstrap import stores
from shared.domain.documents import connection_document, customer_document, invitation_document
from shared.http.router import Request, Response, Route, http_handler
from shared.services.connections import find_connection
from shared.services.customers import existing_connections
from shared.services.invitations import open_invitations
from shared.services.profile import get_customer


def customer(request: Request) -> Response:
    context = stores.context(request)
    customer = get_customer(request.customer_id, context)
    return Response(HTTPStatus.OK, customer_document(customer, existing_connections(customer, context)))


def connections(request: Request) -> Response:
    context = stores.context(request)
    connections = existing_connections(get_customer(request.customer_id, context), context)
    return Response(HTTPStatus.OK, {"connections": list(map(connection_document, connections))})


def connection(request: Request) -> Response:
    connection = find_connection(request.customer_id, request.connection_id, stores.context(request))
    return Response(HTTPStatus.OK, connection_document(connection))


def invitations(request: Request) -> Response:
    listed = open_invitations(request.customer_id, stores.context(request))
    return Response(HTTPStatus.OK, {"invitations": list(map(invitation_document, listed))})


handler = http_handler(
    {
        "GET /customers": Route(lists.customers, query=("limit", "cursor", "companyId")),
        "GET /customers/{customerId}": Route(customer),
        "GET /customers/{customerId}/connections": Route(connections),
        "GET /customers/{customerId}/connections/{connectionId}": Route(connection),
        "GET /customers/{customerId}/connections/{connectionId}/events": Route(
            lists.timeline, query=("limit", "cursor")
        ),
        "GET /customers/{customerId}/invitations": Route(invitations),
        "GET /connections": Route(lists.connections, query=("status", "attention", "limit", "cursor")),
    }
)
stores.initialize()
