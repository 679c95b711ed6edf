"""POST /customers: ensures the customer's company at Codat."""

from http import HTTPStatus

from shared import bootstrap
from shared.runtime.bodies import NewCustomer
from shared.runtime.documents import customer_document
from shared.runtime.edge import Answer, Request, http_handler
from shared.runtime.settings import settings
from shared.services.customers import create_customer, with_connections


def create(request: Request) -> Answer:
    body = request.read(NewCustomer, tag_key=settings().codat_tag_key)
    call = bootstrap.call(request)
    call.telemetry.note(customer_id=body.customer_id)
    customer, created = create_customer(
        body.customer_id,
        body.content,
        body.company_id,
        call=call,
        customers=bootstrap.customers(),
        connections=bootstrap.connections(),
        claims=bootstrap.claims(),
        codat=bootstrap.codat(request.context),
    )
    view = with_connections(customer, bootstrap.connections())
    return Answer(
        HTTPStatus.CREATED if created else HTTPStatus.OK,
        customer_document(view.customer, view.connections),
        {"location": f"/customers/{customer.customer_id}"},
    )


handler = http_handler({"POST /customers": create})
