"""Codat's API: what each route does."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from codat_simulator import query, requests
from codat_simulator.answers import Answer, success
from codat_simulator.platforms import PLATFORMS, Platform
from codat_simulator.records import Company, Connection
from codat_simulator.refusals import integration_not_found, unresolved_property
from codat_simulator.requests import ApiRequest, Page
from codat_simulator.serializer import api_key_body, consumer_body
from codat_simulator.simulator import SimulatedCodat

_DAY = 86_400

Work = Callable[[SimulatedCodat, ApiRequest], Answer]
Row = TypeVar("Row")


def create_company(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    company = codat.state.create_company(requests.whole_company(request))
    return success(codat.serializer.company(company))


def list_companies(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    tags = request.query.get("tags", "").strip()
    companies = codat.state.list_companies(query.parse(tags) if tags else None)
    companies = _filtered(request, companies, "Company", _company_fields)
    return _page(request, companies, codat.serializer.company)


def get_company(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    company = codat.state.company(request.params["company_id"])
    return success(codat.serializer.company(company))


def replace_company(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    company_id = codat.state.company(request.params["company_id"]).id
    company = codat.state.change_company(company_id, requests.whole_company(request))
    return success(codat.serializer.company(company))


def update_company(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    company_id = codat.state.company(request.params["company_id"]).id
    company = codat.state.change_company(company_id, requests.company_change(request))
    return success(codat.serializer.company(company))


def delete_company(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    codat.state.delete_company(request.params["company_id"])
    return Answer(204)


def company_access_token(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    codat.state.company(request.params["company_id"])
    return success({"accessToken": secrets.token_urlsafe(96), "expiresIn": _DAY, "tokenType": "Bearer"})


def create_connection(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    company = codat.state.company(request.params["company_id"])
    connection = codat.state.create_connection(company.id, requests.platform_key(request))
    return success(codat.serializer.connection(connection))


def list_connections(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    connections = codat.state.list_connections(request.params["company_id"])
    connections = _filtered(request, connections, "Connection", _connection_fields)
    return _page(request, connections, codat.serializer.connection)


def get_connection(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    connection = codat.state.connection(request.params["company_id"], request.params["connection_id"])
    return success(codat.serializer.connection(connection))


def unlink_connection(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    company_id, connection_id = request.params["company_id"], request.params["connection_id"]
    codat.state.connection(company_id, connection_id)
    requests.is_unlink(request)
    return success(codat.serializer.connection(codat.state.unlink(company_id, connection_id)))


def delete_connection(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    codat.state.delete_connection(request.params["company_id"], request.params["connection_id"])
    return Answer(200)


def list_integrations(_: SimulatedCodat, request: ApiRequest) -> Answer:
    platforms = _filtered(request, list(PLATFORMS.values()), "Integration", _platform_fields)
    return _page(request, platforms, Platform.body)


def get_integration(_: SimulatedCodat, request: ApiRequest) -> Answer:
    key = request.params["platform_key"]
    if key not in PLATFORMS:
        raise integration_not_found(key)
    return success(PLATFORMS[key].body())


def get_profile(_: SimulatedCodat, __: ApiRequest) -> Answer:
    return success({"name": "Simulated client", "redirectUrl": "https://app.example.com/connected"})


def create_consumer(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    return success(consumer_body(codat.webhooks.register(requests.consumer(request))), 201)


def list_consumers(codat: SimulatedCodat, _: ApiRequest) -> Answer:
    return success({"results": [consumer_body(c) for c in codat.webhooks.consumers.values()]})


def delete_consumer(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    codat.webhooks.remove(request.params["webhook_id"])
    return Answer(204)


def list_api_keys(codat: SimulatedCodat, _: ApiRequest) -> Answer:
    return success({"results": [api_key_body(key) for key in codat.api_key_store.list()]})


def create_api_key(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    return success(api_key_body(codat.api_key_store.create(requests.api_key_name(request))), 201)


def delete_api_key(codat: SimulatedCodat, request: ApiRequest) -> Answer:
    codat.api_key_store.delete(request.params["api_key_id"])
    return Answer(204)


ROUTES: tuple[tuple[str, str, Work], ...] = (
    ("POST", "/companies", create_company),
    ("GET", "/companies", list_companies),
    ("GET", "/companies/{company_id}", get_company),
    ("PUT", "/companies/{company_id}", replace_company),
    ("PATCH", "/companies/{company_id}", update_company),
    ("DELETE", "/companies/{company_id}", delete_company),
    ("GET", "/companies/{company_id}/accessToken", company_access_token),
    ("POST", "/companies/{company_id}/connections", create_connection),
    ("GET", "/companies/{company_id}/connections", list_connections),
    ("GET", "/companies/{company_id}/connections/{connection_id}", get_connection),
    ("PATCH", "/companies/{company_id}/connections/{connection_id}", unlink_connection),
    ("DELETE", "/companies/{company_id}/connections/{connection_id}", delete_connection),
    ("GET", "/integrations", list_integrations),
    ("GET", "/integrations/{platform_key}", get_integration),
    ("GET", "/profile", get_profile),
    ("POST", "/webhooks", create_consumer),
    ("GET", "/webhooks", list_consumers),
    ("DELETE", "/webhooks/{webhook_id}", delete_consumer),
    ("GET", "/apiKeys", list_api_keys),
    ("POST", "/apiKeys", create_api_key),
    ("DELETE", "/apiKeys/{api_key_id}", delete_api_key),
)


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
    return {
        "key": platform.key,
        "name": platform.name,
        "sourceType": platform.source_type,
        "enabled": "true" if platform.enabled else "false",
    }


def _filtered(
    request: ApiRequest, rows: list[Row], resource: str, fields: Callable[[Row], dict[str, str]]
) -> list[Row]:
    text = request.query.get("query", "").strip()
    if not text:
        return rows
    expression = query.parse(text)
    return [row for row in rows if expression.holds(_Fields(fields(row), resource).read)]


class _Fields:
    def __init__(self, fields: Mapping[str, str], resource: str) -> None:
        self._fields = fields
        self._resource = resource

    def read(self, name: str) -> str:
        if name not in self._fields:
            raise unresolved_property(name, self._resource)
        return self._fields[name]


def _page(request: ApiRequest, rows: Sequence[Row], body: Callable[[Row], dict[str, Any]]) -> Answer:
    """One page in Codat's envelope. Rows of other pages are never rendered."""
    page = Page.of(request)
    start = (page.number - 1) * page.size
    others = {name: text for name, text in request.query.items() if name not in {"page", "pageSize"}}

    def link(number: int) -> dict[str, str]:
        parameters = {**others, "page": number, "pageSize": page.size}
        return {"href": f"{request.path}?{urlencode(parameters)}"}

    links = {"self": {"href": request.path}, "current": link(page.number)}
    if start + page.size < len(rows):
        links["next"] = link(page.number + 1)
    if page.number > 1:
        links["previous"] = link(page.number - 1)
    return success(
        {
            "results": [body(row) for row in rows[start : start + page.size]],
            "pageNumber": page.number,
            "pageSize": page.size,
            "totalResults": len(rows),
            "_links": links,
        }
    )
