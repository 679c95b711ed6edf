"""POST …/connections/{connectionId}/unlink: unlinks a connection. Codat keeps its data.

The answer is 200 also if it is already unlinked.
"""

from http import HTTPStatus

from shared.bootstrap import codat
from shared.domain.documents import connection_document
from shared.http.router import Request, Response, Route, http_handler
from shared.services.connections import unlink_connection


def unlink(request: Request) -> Response:
    connection = unlink_connection(request.customer_id, request.connection_id, codat.context(request))
    return Response(HTTPStatus.OK, connection_document(connection))


handler = http_handler({"POST /customers/{customerId}/connections/{connectionId}/unlink": Route(unlink)})
codat.initialize()
