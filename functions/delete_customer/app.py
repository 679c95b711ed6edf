"""DELETE: a customer with its company, or one connection. Both also when repeated."""

from http import HTTPStatus

from shared import bootstrap
from shared.runtime.edge import Answer, Request, http_handler
from shared.services.connections import delete_connection
from shared.services.deletion import delete_customer


def customer(request: Request) -> Answer:
    delete_customer(
        request.customer_id,
        call=bootstrap.call(request),
        customers=bootstrap.customers(),
        connections=bootstrap.connections(),
        claims=bootstrap.claims(),
        codat=bootstrap.codat(request.context),
    )
    return Answer(HTTPStatus.NO_CONTENT)


def connection(request: Request) -> Answer:
    delete_connection(
        request.customer_id,
        request.connection_id,
        call=bootstrap.call(request),
        customers=bootstrap.customers(),
        connections=bootstrap.connections(),
        codat=bootstrap.codat(request.context),
    )
    return Answer(HTTPStatus.NO_CONTENT)


handler = http_handler(
    {
        "DELETE /customers/{customerId}": customer,
        "DELETE /customers/{customerId}/connections/{connectionId}": connection,
    }
)
