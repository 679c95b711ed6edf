"""PATCH /customers/{customerId}: name, description and tags, here and at Codat."""

from http import HTTPStatus

from shared import bootstrap
from shared.runtime.bodies import ChangedCustomer
from shared.runtime.documents import customer_document
from shared.runtime.edge import Answer, Request, http_handler
from shared.runtime.settings import settings
from shared.services.content import change_customer
from shared.services.customers import with_connections


def change(request: Request) -> Answer:
    customer_id = request.customer_id
    body = request.read(ChangedCustomer, tag_key=settings().codat_tag_key)
    customer = change_customer(
        customer_id,
        body.changes,
        call=bootstrap.call(request),
        customers=bootstrap.customers(),
        codat=bootstrap.codat(request.context),
    )
    view = with_connections(customer, bootstrap.connections())
    return Answer(HTTPStatus.OK, customer_document(view.customer, view.connections))


handler = http_handler({"PATCH /customers/{customerId}": change})
