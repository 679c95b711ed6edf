"""Platforms, connections to them, and invitations to connect them.

POST /customers/{customerId}/connections creates or reuses a connection, and returns a fresh link. An invitation names
a platform, too. GET /platforms is here, because reading the platforms may take a request to Codat, and no other read
route has the API key.
"""

from http import HTTPStatus

from shared.bootstrap import codat
from shared.domain.documents import connection_document, invitation_document, platform_document
from shared.http.requests import NewConnection, NewInvitation
from shared.http.router import Request, Response, Route, http_handler
from shared.services.connections import create_connection
from shared.services.invitations import create_invitation
from shared.services.links import require_link
from shared.services.platforms import available_platform, available_platforms


def create(request: Request) -> Response:
    customer_id = request.customer_id
    platform_key, context = request.read(NewConnection).platform_key, codat.context(request)
    result = create_connection(customer_id, available_platform(platform_key, context), context)
    return Response(
        HTTPStatus.CREATED if result.created else HTTPStatus.OK,
        {**connection_document(result.connection), "linkUrl": require_link(result.link_url)},
        {"location": f"/customers/{customer_id}/connections/{result.connection.connection_id}"},
    )


def invite(request: Request) -> Response:
    customer_id = request.customer_id
    body = request.read(NewInvitation) if request.body else NewInvitation()
    invitation, token = create_invitation(customer_id, body.platform_key, body.expires_in_days, codat.context(request))
    document = {**invitation_document(invitation), "url": f"{request.base_url}/connect/{token}"}
    return Response(HTTPStatus.CREATED, document)


def platforms(request: Request) -> Response:
    documents = map(platform_document, available_platforms(codat.context(request)))
    return Response(HTTPStatus.OK, {"platforms": list(documents)})


handler = http_handler(
    {
        "POST /customers/{customerId}/connections": Route(create, has_body=True),
        "POST /customers/{customerId}/invitations": Route(invite, has_body=True),
        "GET /platforms": Route(platforms),
    }
)
codat.initialize()
