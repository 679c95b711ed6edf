"""POST …/connections/{connectionId}/unlink: deauthorises a connection and keeps its data."""

from http import HTTPStatus

from shared import bootstrap
from shared.runtime.documents import connection_document
from shared.runtime.edge import Answer, Request, http_handler
from shared.services.connections import unlink_connection


def unlink(request: Request) -> Answer:
    connection = unlink_connection(
        request.customer_id,
        request.connection_id,
        call=bootstrap.call(request),
        customers=bootstrap.customers(),
        connections=bootstrap.connections(),
        codat=bootstrap.codat(request.context),
    )
    return Answer(HTTPStatus.OK, connection_document(connection))


handler = http_handler({"POST /customers/{customerId}/connections/{connectionId}/unlink": unlink})
