"""POST /customers/{customerId}/connections: creates or reuses a connection, and returns a fresh link."""

from http import HTTPStatus

from shared.bootstrap import codat
from shared.bootstrap.stores import platform_catalog
from shared.domain.documents import connection_document
from shared.http.requests import NewConnection
from shared.http.router import Request, Response, http_handler
from shared.services.connections import create_connection


def create(request: Request) -> Response:
    customer_id = request.customer_id
    platform = platform_catalog().platform(request.read(NewConnection).platform_key)
    result = create_connection(customer_id, platform, codat.context(request))
    return Response(
        HTTPStatus.CREATED if result.created else HTTPStatus.OK,
        {**connection_document(result.connection), "linkUrl": result.link_url},
        {"location": f"/customers/{customer_id}/connections/{result.connection.connection_id}"},
    )


handler = http_handler({"POST /customers/{customerId}/connections": create})
codat.initialize()
