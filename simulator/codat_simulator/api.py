"""The routes of Codat's API."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

from starlette.responses import Response

from codat_simulator import query, request_models as models
from codat_simulator.errors import ApiError, not_found, unresolved_property
from codat_simulator.models import Company, Connection, Consumer
from codat_simulator.platforms import Platform
from codat_simulator.request_models import ApiRequest
from codat_simulator.responses import JsonResponse
from codat_simulator.serializer import api_key_document, consumer_document
from codat_simulator.simulator import SimulatedCodat
from codat_simulator.state import CompanyChange

_DAY = 86_400

Handler = Callable[[SimulatedCodat, ApiRequest], Response]
Row = TypeVar("Row")


def create_company(codat: SimulatedCodat, request: ApiRequest) -> Response:
    return JsonResponse(codat.serializer.company(codat.state.create_company(_all_values(request))))


def list_companies(codat: SimulatedCodat, request: ApiRequest) -> Response:
    tags = request.query.get("tags", "").strip()
    companies = codat.state.list_companies(query.parse(tags) if tags else None)
    companies = _filter(request, companies, "Company", _company_fields)
    return _page(request, companies, codat.serializer.company)


def get_company(codat: SimulatedCodat, request: ApiRequest) -> Response:
    return JsonResponse(codat.serializer.company(codat.state.company(request.params["company_id"])))


def replace_company(codat: SimulatedCodat, request: ApiRequest) -> Response:
    company = codat.state.company(request.params["company_id"])
    return JsonResponse(codat.serializer.company(codat.state.change_company(company.id, _all_values(request))))


def update_company(codat: SimulatedCodat, request: ApiRequest) -> Response:
    company = codat.state.company(request.params["company_id"])
    body = request.parse_body(models.CompanyUpdate)
    change = CompanyChange(name=body.name, description=body.description, tags=body.tags)
    return JsonResponse(codat.serializer.company(codat.state.change_company(company.id, change)))


def delete_company(codat: SimulatedCodat, request: ApiRequest) -> Response:
    codat.state.delete_company(request.params["company_id"])
    return Response(status_code=204)


def get_access_token(codat: SimulatedCodat, request: ApiRequest) -> Response:
    codat.state.company(request.params["company_id"])
    return JsonResponse({"accessToken": secrets.token_urlsafe(96), "expiresIn": _DAY, "tokenType": "Bearer"})


def create_connection(codat: SimulatedCodat, request: ApiRequest) -> Response:
    company = codat.state.company(request.params["company_id"])
    platform_key = request.parse_body(models.ConnectionRequest).platform_key
    return JsonResponse(codat.serializer.connection(codat.state.create_connection(company.id, platform_key)))


def list_connections(codat: SimulatedCodat, request: ApiRequest) -> Response:
    connections = codat.state.list_connections(request.params["company_id"])
    connections = _filter(request, connections, "Connection", _connection_fields)
    return _page(request, connections, codat.serializer.connection)


def get_connection(codat: SimulatedCodat, request: ApiRequest) -> Response:
    return JsonResponse(codat.serializer.connection(codat.state.connection(**request.params)))


def unlink_connection(codat: SimulatedCodat, request: ApiRequest) -> Response:
    codat.state.connection(**request.params)
    request.parse_body(models.ConnectionUpdate)
    return JsonResponse(codat.serializer.connection(codat.state.unlink(**request.params)))


def delete_connection(codat: SimulatedCodat, request: ApiRequest) -> Response:
    codat.state.delete_connection(**request.params)
    return Response()


def list_integrations(codat: SimulatedCodat, request: ApiRequest) -> Response:
    platforms = _filter(request, list(codat.state.platforms.values()), "Integration", _platform_fields)
    return _page(request, platforms, Platform.body)


def get_integration(codat: SimulatedCodat, request: ApiRequest) -> Response:
    key = request.params["platform_key"]
    if key not in codat.state.platforms:
        raise not_found("Integration", key)
    return JsonResponse(codat.state.platforms[key].body())


def get_profile(_: SimulatedCodat, __: ApiRequest) -> Response:
    return JsonResponse({"name": "Simulated client", "redirectUrl": "https://app.example.com/connected"})


def create_consumer(codat: SimulatedCodat, request: ApiRequest) -> Response:
    body = request.parse_body(models.ConsumerRequest)
    consumer = Consumer(
        id=str(uuid4()),
        url=body.url,
        event_types=tuple(body.event_types or ()),
        company_tags=tuple(body.company_tags or ()),
        disabled=bool(body.disabled),
    )
    return JsonResponse(consumer_document(codat.webhooks.register(consumer)), 201)


def list_consumers(codat: SimulatedCodat, _: ApiRequest) -> Response:
    return JsonResponse({"results": [consumer_document(c) for c in list(codat.webhooks.consumers.values())]})


def delete_consumer(codat: SimulatedCodat, request: ApiRequest) -> Response:
    codat.webhooks.remove(request.params["webhook_id"])
    return Response(status_code=204)


def list_api_keys(codat: SimulatedCodat, _: ApiRequest) -> Response:
    return JsonResponse({"results": [api_key_document(key) for key in codat.api_key_store.list()]})


def create_api_key(codat: SimulatedCodat, request: ApiRequest) -> Response:
    name = request.parse_body(models.ApiKeyRequest).name if request.body else None
    if name is not None and len(name) > models.MAX_API_KEY_NAME:
        raise ApiError(400, f"Max string length ({models.MAX_API_KEY_NAME}) for `name` reached.")
    return JsonResponse(api_key_document(codat.api_key_store.create(name)), 201)


def delete_api_key(codat: SimulatedCodat, request: ApiRequest) -> Response:
    codat.api_key_store.delete(request.params["api_key_id"])
    return Response(status_code=204)


def get_cors_settings(codat: SimulatedCodat, _: ApiRequest) -> Response:
    return JsonResponse({"allowedOrigins": list(codat.allowed_origins)})


def set_cors_settings(codat: SimulatedCodat, request: ApiRequest) -> Response:
    codat.allowed_origins = tuple(request.parse_body(models.CorsSettings).allowed_origins)
    return get_cors_settings(codat, request)


_COMPANY = "/companies/{company_id}"
_CONNECTION = _COMPANY + "/connections/{connection_id}"

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "/companies", create_company),
    ("GET", "/companies", list_companies),
    ("GET", _COMPANY, get_company),
    ("PUT", _COMPANY, replace_company),
    ("PATCH", _COMPANY, update_company),
    ("DELETE", _COMPANY, delete_company),
    ("GET", _COMPANY + "/accessToken", get_access_token),
    ("POST", _COMPANY + "/connections", create_connection),
    ("GET", _COMPANY + "/connections", list_connections),
    ("GET", _CONNECTION, get_connection),
    ("PATCH", _CONNECTION, unlink_connection),
    ("DELETE", _CONNECTION, delete_connection),
    ("GET", "/integrations", list_integrations),
    ("GET", "/integrations/{platform_key}", get_integration),
    ("GET", "/profile", get_profile),
    ("POST", "/webhooks", create_consumer),
    ("GET", "/webhooks", list_consumers),
    ("DELETE", "/webhooks/{webhook_id}", delete_consumer),
    ("GET", "/apiKeys", list_api_keys),
    ("POST", "/apiKeys", create_api_key),
    ("DELETE", "/apiKeys/{api_key_id}", delete_api_key),
    ("GET", "/corsSettings", get_cors_settings),
    ("POST", "/corsSettings", set_cors_settings),
    # The deprecated path, which Codat's official client uses.
    ("GET", "/connectionManagement/corsSettings", get_cors_settings),
    ("POST", "/connectionManagement/corsSettings", set_cors_settings),
)


def _all_values(request: ApiRequest) -> CompanyChange:
    """Return the change of a POST or PUT: a missing description or tags object is empty."""
    body = request.parse_body(models.CompanyRequest)
    return CompanyChange(name=body.name, description=body.description or "", tags=body.tags or {})


def _company_fields(company: Company) -> dict[str, str]:
    return {"id": company.id, "name": company.name, "description": company.description}


def _connection_fields(connection: Connection) -> dict[str, str]:
    return {
        "id": connection.id,
        "integrationKey": connection.platform.key,
        "platformName": connection.platform.name,
        "sourceType": connection.platform.source_type,
        "status": connection.status,
    }


def _platform_fields(platform: Platform) -> dict[str, str]:
    enabled = "true" if platform.enabled else "false"
    return {"key": platform.key, "name": platform.name, "sourceType": platform.source_type, "enabled": enabled}


def _filter(
    request: ApiRequest, rows: list[Row], resource: str, fields_of: Callable[[Row], dict[str, str]]
) -> list[Row]:
    """Return the rows that match the parameter `query`."""
    text = request.query.get("query", "").strip()
    if not text:
        return rows
    expression = query.parse(text)

    def is_match(row: Row) -> bool:
        fields = fields_of(row)

        def read(name: str) -> str:
            if name not in fields:
                raise unresolved_property(name, resource)
            return fields[name]

        return expression.holds(read)

    return [row for row in rows if is_match(row)]


def _page(request: ApiRequest, rows: Sequence[Row], document: Callable[[Row], dict[str, Any]]) -> Response:
    """Return a page in Codat's envelope."""
    page = request.parse_page()
    number, size = page.page, page.page_size
    start = (number - 1) * size

    def link(target: int) -> dict[str, str]:
        others = {name: text for name, text in request.query.items() if name not in {"page", "pageSize"}}
        return {"href": f"{request.path}?{urlencode({**others, 'page': target, 'pageSize': size})}"}

    return JsonResponse(
        {
            "results": [document(row) for row in rows[start : start + size]],
            "pageNumber": number,
            "pageSize": size,
            "totalResults": len(rows),
            "_links": {
                "self": {"href": request.path},
                "current": link(number),
                **({"next": link(number + 1)} if start + size < len(rows) else {}),
                **({"previous": link(number - 1)} if number > 1 else {}),
            },
        }
    )
