"""The lists, page by page: customers, connections by status or need of attention, a connection's timeline."""

from http import HTTPStatus

from shared.bootstrap import stores
from shared.domain.customers import normalize_company_id
from shared.domain.documents import connection_document, customer_document, entry_document
from shared.domain.errors import InvalidQuery
from shared.http import query
from shared.http.router import MAX_ID, Request, Response
from shared.services.connections import find_connection
from shared.services.customers import existing_connections, find_by_company


def customers(request: Request) -> Response:
    limit, cursor = query.limit(request.query), request.query.get("cursor")
    company_id = request.query.get("companyId")
    context = stores.context(request)
    if company_id is None:
        listed, following = context.customers.page(limit, cursor)
    elif cursor is not None:
        raise InvalidQuery("cursor", "can't be combined with companyId, which returns at most one customer")
    else:
        customer = find_by_company(normalize_company_id(company_id[:MAX_ID]), context)
        listed, following = [] if customer is None else [customer], None
    documents = [customer_document(customer, existing_connections(customer, context)) for customer in listed]
    return Response(HTTPStatus.OK, {"customers": documents, "cursor": following})


def connections(request: Request) -> Response:
    limit, cursor = query.limit(request.query), request.query.get("cursor")
    status, connections = query.status(request.query), stores.context(request).connections
    if status is None:
        listed, following = connections.attention_page(limit, cursor)
    else:
        listed, following = connections.page(status, limit, cursor)
    documents = list(map(connection_document, listed))
    return Response(HTTPStatus.OK, {"connections": documents, "cursor": following})


def timeline(request: Request) -> Response:
    limit, context = query.limit(request.query), stores.context(request)
    connection = find_connection(request.customer_id, request.connection_id, context)
    entries, following = context.connections.timeline(connection, limit, request.query.get("cursor"))
    return Response(HTTPStatus.OK, {"events": list(map(entry_document, entries)), "cursor": following})
