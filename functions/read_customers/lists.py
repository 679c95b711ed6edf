"""The lists, page by page: customers, connections by status, a connection's timeline."""

from http import HTTPStatus

from shared import bootstrap
from shared.domain.documents import connection_document, customer_document, entry_document
from shared.domain.errors import InvalidQuery
from shared.domain.pages import Page
from shared.http import query
from shared.http.router import Request, Response
from shared.services.connections import find_connection
from shared.services.customers import existing_connections, find_by_company


def customers(request: Request) -> Response:
    query.allow_only(request.query, "limit", "cursor", "companyId")
    limit, cursor = query.limit(request.query), request.query.get("cursor")
    company_id = request.query.get("companyId")
    context = bootstrap.context(request)
    if company_id is None:
        page = context.customers.page(limit, cursor)
    elif cursor is not None:
        raise InvalidQuery("cursor", "can't be combined with companyId, which returns at most one customer")
    else:
        customer = find_by_company(company_id[: query.MAX_LIMIT], context)
        page = Page([] if customer is None else [customer], None)
    documents = [customer_document(customer, existing_connections(customer, context)) for customer in page.items]
    return Response(HTTPStatus.OK, {"customers": documents, "cursor": page.cursor})


def connections(request: Request) -> Response:
    query.allow_only(request.query, "status", "limit", "cursor")
    status, limit = query.status(request.query), query.limit(request.query)
    page = bootstrap.context(request).connections.page(status, limit, request.query.get("cursor"))
    documents = list(map(connection_document, page.items))
    return Response(HTTPStatus.OK, {"connections": documents, "cursor": page.cursor})


def timeline(request: Request) -> Response:
    query.allow_only(request.query, "limit", "cursor")
    limit, context = query.limit(request.query), bootstrap.context(request)
    connection = find_connection(request.customer_id, request.connection_id, context)
    page = context.connections.timeline(connection, limit, request.query.get("cursor"))
    return Response(HTTPStatus.OK, {"events": list(map(entry_document, page.items)), "cursor": page.cursor})
