"""The reading routes: a customer, its connections, the platforms on offer."""

from http import HTTPStatus

from shared import bootstrap
from shared.runtime.documents import connection_document, customer_document, platform_document
from shared.runtime.edge import Answer, Request, http_handler
from shared.services.connections import read_connection
from shared.services.customers import CustomerView, read_customer


def customer(request: Request) -> Answer:
    view = _view(request)
    return Answer(HTTPStatus.OK, customer_document(view.customer, view.connections))


def connections(request: Request) -> Answer:
    return Answer(HTTPStatus.OK, {"connections": [connection_document(one) for one in _view(request).connections]})


def connection(request: Request) -> Answer:
    found = read_connection(
        request.customer_id,
        request.connection_id,
        customers=bootstrap.customers(),
        connections=bootstrap.connections(),
    )
    return Answer(HTTPStatus.OK, connection_document(found))


def platforms(_: Request) -> Answer:
    return Answer(HTTPStatus.OK, {"platforms": [platform_document(one) for one in bootstrap.offer().platforms]})


def _view(request: Request) -> CustomerView:
    return read_customer(request.customer_id, customers=bootstrap.customers(), connections=bootstrap.connections())


handler = http_handler(
    {
        "GET /customers/{customerId}": customer,
        "GET /customers/{customerId}/connections": connections,
        "GET /customers/{customerId}/connections/{connectionId}": connection,
        "GET /platforms": platforms,
    }
)
