"""DELETE: a customer with its company, one connection, or one invitation.

The answer is 204 also if the customer doesn't exist, the connection is already deleted, or the invitation revoked.
"""

from http import HTTPStatus

from shared.bootstrap import codat
from shared.http.router import Request, Response, Route, http_handler
from shared.services.connections import delete_connection
from shared.services.deletion import delete_customer
from shared.services.invitations import revoke_invitation


def remove_customer(request: Request) -> Response:
    delete_customer(request.customer_id, codat.context(request))
    return Response(HTTPStatus.NO_CONTENT)


def remove_connection(request: Request) -> Response:
    delete_connection(request.customer_id, request.connection_id, codat.context(request))
    return Response(HTTPStatus.NO_CONTENT)


def remove_invitation(request: Request) -> Response:
    revoke_invitation(request.customer_id, request.invitation_id, codat.context(request))
    return Response(HTTPStatus.NO_CONTENT)


handler = http_handler(
    {
        "DELETE /customers/{customerId}": Route(remove_customer),
        "DELETE /customers/{customerId}/connections/{connectionId}": Route(remove_connection),
        "DELETE /customers/{customerId}/invitations/{invitationId}": Route(remove_invitation),
    }
)
codat.initialize()
