"""PATCH /customers/{customerId}: changes name, description and tags, in the table and at Codat."""

from http import HTTPStatus

from shared.bootstrap import codat
from shared.domain.documents import customer_document
from shared.http.requests import ChangedCustomer
from shared.http.router import Request, Response, Route, http_handler
from shared.runtime.settings import settings
from shared.services.customers import existing_connections
from shared.services.profile import change_customer


def change(request: Request) -> Response:
    customer_id = request.customer_id
    body = request.read(ChangedCustomer, tag_key=settings().codat_tag_key)
    context = codat.context(request)
    customer = change_customer(customer_id, body.changes, context)
    return Response(HTTPStatus.OK, customer_document(customer, existing_connections(customer, context)))


handler = http_handler({"PATCH /customers/{customerId}": Route(change, has_body=True)})
codat.initialize()
