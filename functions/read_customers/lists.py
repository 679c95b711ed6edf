"""The lists, page by page: customers, connections by status, a connection's timeline."""

from http import HTTPStatus

from shared import bootstrap
from shared.domain.connections import Status
from shared.domain.errors import InvalidQuery
from shared.runtime import queries
from shared.runtime.documents import connection_document, customer_document, entry_document
from shared.runtime.edge import Answer, Request
from shared.services import customers as use
from shared.services.connections import connection_timeline


def customers(request: Request) -> Answer:
    queries.known(request.query, "limit", "cursor", "companyId")
    limit, cursor = queries.limit(request.query), request.query.get("cursor")
    company_id = request.query.get("companyId")
    if company_id is None:
        page = use.list_customers(limit, cursor, **bootstrap.stores())
    elif cursor is not None:
        raise InvalidQuery("cursor", "has no meaning beside companyId, which finds one customer at most")
    else:
        page = use.find_by_company(company_id[: queries.MOST], **bootstrap.stores())
    found = [customer_document(one.customer, one.connections) for one in page.items]
    return Answer(HTTPStatus.OK, {"customers": found, "cursor": page.cursor})


def connections(request: Request) -> Answer:
    queries.known(request.query, "status", "limit", "cursor")
    status = queries.choice(request.query, "status", Status, but={Status.DELETED})
    page = bootstrap.connections().page(status, queries.limit(request.query), request.query.get("cursor"))
    found = [connection_document(one) for one in page.items]
    return Answer(HTTPStatus.OK, {"connections": found, "cursor": page.cursor})


def timeline(request: Request) -> Answer:
    queries.known(request.query, "limit", "cursor")
    limit, cursor = queries.limit(request.query), request.query.get("cursor")
    page = connection_timeline(request.customer_id, request.connection_id, limit, cursor, **bootstrap.stores())
    return Answer(HTTPStatus.OK, {"events": [entry_document(one) for one in page.items], "cursor": page.cursor})
