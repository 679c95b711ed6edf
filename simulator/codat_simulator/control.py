"""The controls under `/_control`, which Codat doesn't have.

    POST   /_control/companies/{companyId}/connections/{connectionId}/{authorize|cancel|revoke}
    POST   /_control/companies/{companyId}/connections/{connectionId}/forge
                                send a connection.deleted with a wrong signature, as an attacker would
    POST   /_control/companies/{companyId}/connections/{connectionId}/read
                                send read.completed.initial: {"failed": ["invoices"], "status": "FetchError"}
    POST   /_control/open-link  open a link URL and close the browser: {"url": "http://..."}
    GET    /_control/settings   get the settings that can change while the simulator runs
    PATCH  /_control/settings   change them: {"listLag": 2.5, "oneTimeLinks": false, "omitIntegrationKey": true}
    GET    /_control/faults     list the active faults and how often each fired
    POST   /_control/faults     add a fault: {"kind": "status", "status": 503, "when": "after", ...}
    DELETE /_control/faults     remove all faults
    DELETE /_control/faults/{id}    remove a fault
    GET    /_control/deliveries list webhook messages and their attempts
    GET    /_control/calls      list API calls
    GET    /_control/idle?timeout=10    wait until no webhook or read is pending: 200, or 504 after the timeout
    POST   /_control/clock      advance Codat's clock: {"advanceSeconds": 5400}
    PUT    /_control/webhook-secrets    replace the signing secrets: {"secrets": ["whsec_...", "whsec_..."]}
    POST   /_control/reset      return to the state at the start

They need no authorization, because the simulator listens on 127.0.0.1 only.
"""

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from codat_simulator.errors import ApiError
from codat_simulator.faults import Fault
from codat_simulator.link_urls import InvalidLinkError
from codat_simulator.models import Connection
from codat_simulator.settings import Duration, Seconds, WebhookSecret
from codat_simulator.simulator import SimulatedCodat
from codat_simulator.state import Event


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)


class _SettingsChange(_Body):
    """The settings to change. None keeps the current value."""

    list_lag: Seconds | None = None
    one_time_links: bool | None = None
    omit_integration_key: bool | None = None


class _InitialRead(_Body):
    failed: list[str] = []
    status: str = "FetchError"


class _ClockChange(_Body):
    advance_seconds: Duration


class _Link(_Body):
    url: str


class _Secrets(_Body):
    secrets: list[WebhookSecret]


class Control:
    def __init__(self, codat: SimulatedCodat) -> None:
        self._codat = codat

    def app(self) -> Starlette:
        connection = "/companies/{company_id}/connections/{connection_id}"
        routes = [
            Route(f"{connection}/read", self.finish_initial_read, methods=["POST"]),
            Route(f"{connection}/{{action}}", self.change_connection, methods=["POST"]),
            Route("/open-link", self.open_link, methods=["POST"]),
            Route("/settings", self.get_settings, methods=["GET"]),
            Route("/settings", self.change_settings, methods=["PATCH"]),
            Route("/faults", self.list_faults, methods=["GET"]),
            Route("/faults", self.add_fault, methods=["POST"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/faults/{fault_id}", self.remove_fault, methods=["DELETE"]),
            Route("/deliveries", self.list_deliveries, methods=["GET"]),
            Route("/calls", self.list_calls, methods=["GET"]),
            Route("/idle", self.wait_idle, methods=["GET"]),
            Route("/clock", self.advance_clock, methods=["POST"]),
            Route("/webhook-secrets", self.replace_secrets, methods=["PUT"]),
            Route("/reset", self.reset, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={ApiError: _error, ValueError: _error})

    async def change_connection(self, request: Request) -> Response:
        state, ids = self._codat.state, dict(request.path_params)
        actions = {"authorize": state.link, "cancel": state.cancel, "revoke": state.revoke, "forge": self._forge}
        action = actions.get(ids.pop("action"))
        if action is None:
            raise ApiError(404, "The actions are authorize, cancel, forge, read and revoke.")
        return JSONResponse(self._codat.serializer.connection(action(**ids)))

    def _forge(self, company_id: str, connection_id: str) -> Connection:
        company = self._codat.state.company(company_id)
        connection = self._codat.state.connection(company_id, connection_id)
        payload = self._codat.serializer.connection_payload(company, connection)
        self._codat.webhooks.forge(Event("connection.deleted", company.id, dict(company.tags), payload))
        return connection

    async def open_link(self, request: Request) -> Response:
        url = urlsplit(_Link.model_validate_json(await request.body()).url)
        try:
            self._codat.links.use(url.path, parse_qs(url.query).get("otp", [""])[0])
        except InvalidLinkError as error:
            raise ApiError(410, f"This link doesn't work: it is {error.reason}.") from error
        return Response(status_code=204)

    async def finish_initial_read(self, request: Request) -> Response:
        body = _InitialRead.model_validate_json(await request.body() or b"{}")
        connection = self._codat.state.connection(**request.path_params)
        is_sent = self._codat.state.finish_initial_read(
            connection.company_id, connection.id, failed=body.failed, failure_status=body.status
        )
        if not is_sent:
            raise ApiError(409, f"No data is read from a connection that is {connection.status}.")
        return JSONResponse(self._codat.serializer.connection(connection))

    async def get_settings(self, _: Request) -> Response:
        settings = {
            "listLag": self._codat.state.list_lag,
            "oneTimeLinks": self._codat.links.one_time,
            "omitIntegrationKey": self._codat.serializer.omit_integration_key,
        }
        return JSONResponse(settings)

    async def change_settings(self, request: Request) -> Response:
        change = _SettingsChange.model_validate_json(await request.body())
        if change.list_lag is not None:
            self._codat.state.list_lag = change.list_lag
        if change.one_time_links is not None:
            self._codat.links.one_time = change.one_time_links
        if change.omit_integration_key is not None:
            self._codat.serializer.omit_integration_key = change.omit_integration_key
        return await self.get_settings(request)

    async def list_faults(self, _: Request) -> Response:
        return JSONResponse({"results": self._codat.faults.list()})

    async def add_fault(self, request: Request) -> Response:
        fault = Fault.model_validate_json(await request.body())
        self._codat.faults.add(fault)
        return JSONResponse(fault.model_dump(by_alias=True), 201)

    async def clear_faults(self, _: Request) -> Response:
        self._codat.faults.clear()
        return Response(status_code=204)

    async def remove_fault(self, request: Request) -> Response:
        return Response(status_code=204 if self._codat.faults.remove(**request.path_params) else 404)

    async def list_deliveries(self, _: Request) -> Response:
        return JSONResponse({"results": [d.log_entry() for d in list(self._codat.webhooks.deliveries)]})

    async def list_calls(self, _: Request) -> Response:
        return JSONResponse({"results": [call.model_dump(by_alias=True) for call in self._codat.calls.list()]})

    async def wait_idle(self, request: Request) -> Response:
        timeout = TypeAdapter(Seconds).validate_python(request.query_params.get("timeout", "10"))
        await asyncio.to_thread(self._codat.background.wait_idle, timeout)
        pending = self._codat.background.pending
        return JSONResponse({"pending": pending}, 504 if pending else 200)

    async def advance_clock(self, request: Request) -> Response:
        change = _ClockChange.model_validate_json(await request.body())
        self._codat.clock.advance(timedelta(seconds=change.advance_seconds))
        return JSONResponse({"now": self._codat.clock.now().isoformat()})

    async def replace_secrets(self, request: Request) -> Response:
        self._codat.webhooks.secrets = tuple(_Secrets.model_validate_json(await request.body()).secrets)
        return Response(status_code=204)

    async def reset(self, _: Request) -> Response:
        await asyncio.to_thread(self._codat.reset)
        return Response(status_code=204)


def _error(_: Request, error: Exception) -> Response:
    """Return an ApiError with its status, and 400 for an invalid body (pydantic's error is a ValueError)."""
    if isinstance(error, ApiError):
        return JSONResponse({"error": error.message}, error.status)
    return JSONResponse({"error": str(error)}, 400)
