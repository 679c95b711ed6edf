"""The reading routes: a customer, its connections, the platforms on offer; the lists are in `lists`."""

from http import HTTPStatus

from functions.read_customers import lists
from shared import bootstrap
from shared.runtime.documents import connection_document, customer_document, platform_document
from shared.runtime.edge import Answer, Request, http_handler
from shared.services.connections import read_connection
from shared.services.customers import read_customer


def customer(request: Request) -> Answer:
    view = read_customer(request.customer_id, **bootstrap.stores())
    return Answer(HTTPStatus.OK, customer_document(view.customer, view.connections))


def connections(request: Request) -> Answer:
    view = read_customer(request.customer_id, **bootstrap.stores())
    return Answer(HTTPStatus.OK, {"connections": [connection_document(one) for one in view.connections]})


def connection(request: Request) -> Answer:
    found = read_connection(request.customer_id, request.connection_id, **bootstrap.stores())
    return Answer(HTTPStatus.OK, connection_document(found))


def platforms(_: Request) -> Answer:
    return Answer(HTTPStatus.OK, {"platforms": [platform_document(one) for one in bootstrap.offer().platforms]})


handler = http_handler(
    {
        "GET /customers": lists.customers,
        "GET /customers/{customerId}": customer,
        "GET /customers/{customerId}/connections": connections,
        "GET /customers/{customerId}/connections/{connectionId}": connection,
        "GET /customers/{customerId}/connections/{connectionId}/events": lists.timeline,
        "GET /connections": lists.connections,
        "GET /platforms": platforms,
    }
)
