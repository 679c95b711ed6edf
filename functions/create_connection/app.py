"""POST /customers/{customerId}/connections: ensures a connection to a platform, with a fresh link."""

from http import HTTPStatus

from shared import bootstrap
from shared.runtime.bodies import NewConnection
from shared.runtime.documents import connection_document
from shared.runtime.edge import Answer, Request, http_handler
from shared.services.connections import create_connection


def create(request: Request) -> Answer:
    customer_id = request.customer_id
    platform = bootstrap.offer().platform(request.read(NewConnection).platform_key)
    ensured = create_connection(
        customer_id,
        platform,
        call=bootstrap.call(request),
        customers=bootstrap.customers(),
        connections=bootstrap.connections(),
        claims=bootstrap.claims(),
        codat=bootstrap.codat(request.context),
    )
    return Answer(
        HTTPStatus.CREATED if ensured.created else HTTPStatus.OK,
        {**connection_document(ensured.connection), "linkUrl": ensured.link_url},
        {"location": f"/customers/{customer_id}/connections/{ensured.connection.connection_id}"},
    )


handler = http_handler({"POST /customers/{customerId}/connections": create})
