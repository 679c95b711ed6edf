"""The lists, page by page: customers, connections by status, a connection's timeline."""

from http import HTTPStatus

from shared import bootstrap
from shared.domain.connections import Status
from shared.domain.documents import connection_document, customer_document
from shared.domain.errors import InvalidQuery
from shared.http import query
from shared.http.responses import entry_document
from shared.http.router import Request, Response
from shared.services.connections import connection_timeline
from shared.services.customers import find_by_company, list_customers


def customers(request: Request) -> Response:
    query.allow_only(request.query, "limit", "cursor", "companyId")
    limit, cursor = query.limit(request.query), request.query.get("cursor")
    company_id = request.query.get("companyId")
    context = bootstrap.context(request)
    if company_id is None:
        page = list_customers(limit, cursor, context)
    elif cursor is not None:
        raise InvalidQuery("cursor", "has no meaning beside companyId, which finds one customer at most")
    else:
        page = find_by_company(company_id[: query.MAX_LIMIT], context)
    documents = [customer_document(view.customer, view.connections) for view in page.items]
    return Response(HTTPStatus.OK, {"customers": documents, "cursor": page.cursor})


def connections(request: Request) -> Response:
    query.allow_only(request.query, "status", "limit", "cursor")
    status = query.choice(request.query, "status", Status, but={Status.DELETED})
    limit, cursor = query.limit(request.query), request.query.get("cursor")
    page = bootstrap.context(request).connections.page(status, limit, cursor)
    documents = list(map(connection_document, page.items))
    return Response(HTTPStatus.OK, {"connections": documents, "cursor": page.cursor})


def timeline(request: Request) -> Response:
    query.allow_only(request.query, "limit", "cursor")
    limit, cursor = query.limit(request.query), request.query.get("cursor")
    page = connection_timeline(request.customer_id, request.connection_id, limit, cursor, bootstrap.context(request))
    return Response(HTTPStatus.OK, {"events": list(map(entry_document, page.items)), "cursor": page.cursor})
