"""POST /customers: creates the customer's company at Codat, or adopts an existing company."""

from http import HTTPStatus

from shared.bootstrap import codat
from shared.domain.documents import customer_document
from shared.http.requests import NewCustomer
from shared.http.router import Request, Response, Route, http_handler
from shared.runtime.settings import settings
from shared.services.customers import create_customer


def create(request: Request) -> Response:
    body = request.read(NewCustomer, tag_key=settings().codat_tag_key)
    context = codat.context(request)
    context.telemetry.note(customer_id=body.customer_id)
    customer, connections, created = create_customer(body.customer_id, body.profile, context, body.company_id)
    return Response(
        HTTPStatus.CREATED if created else HTTPStatus.OK,
        customer_document(customer, connections),
        {"location": f"/customers/{customer.customer_id}"},
    )


handler = http_handler({"POST /customers": Route(create, has_body=True)})
codat.initialize()
