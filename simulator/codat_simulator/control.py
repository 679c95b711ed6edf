"""`/_control/`: what the simulation can do that Codat can't.

    POST   /_control/companies/{companyId}/connections/{connectionId}/{authorize|cancel|revoke}
    POST   /_control/companies/{companyId}/connections/{connectionId}/read
                                sends read.completed.initial: {"failed": ["invoices"], "status": "FetchError"}
    GET    /_control/settings   the settings that can be changed while the simulator runs
    PATCH  /_control/settings   changes them: {"listLag": 2.5, "omitIntegrationKey": true}
    GET    /_control/faults     those switched on, with how often each fired
    POST   /_control/faults     switches one on: {"kind": "status", "status": 503, "when": "after", ...}
    DELETE /_control/faults     switches all off;  DELETE /_control/faults/{id}  one
    GET    /_control/deliveries messages with their attempts;  GET /_control/calls  requests
    GET    /_control/idle?timeout=10   answers once nothing is on its way: 200, or 504
    POST   /_control/clock      {"advanceSeconds": 5400}
    PUT    /_control/webhook-secrets   {"secrets": ["whsec_...", "whsec_..."]}
    POST   /_control/reset      everything as at the start

Without authorization: it listens on this machine only.
"""

import asyncio
import base64
import binascii
import json
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from codat_simulator.faults import Fault
from codat_simulator.refusals import Refusal
from codat_simulator.simulator import SimulatedCodat

_MOST_SECONDS = 10 * 366 * 86_400


class _SettingsChange(BaseModel):
    """The settings to change. None keeps the current value."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)

    list_lag: float | None = Field(default=None, ge=0, le=_MOST_SECONDS)
    omit_integration_key: bool | None = None


class Control:
    def __init__(self, codat: SimulatedCodat) -> None:
        self._codat = codat

    def routes(self) -> list[Route]:
        connection = "/_control/companies/{company_id}/connections/{connection_id}"
        return [
            Route(f"{connection}/read", self.finish_initial_read, methods=["POST"]),
            Route(f"{connection}/{{action}}", self.act, methods=["POST"]),
            Route("/_control/settings", self.get_settings, methods=["GET"]),
            Route("/_control/settings", self.change_settings, methods=["PATCH"]),
            Route("/_control/faults", self.list_faults, methods=["GET"]),
            Route("/_control/faults", self.add_fault, methods=["POST"]),
            Route("/_control/faults", self.clear_faults, methods=["DELETE"]),
            Route("/_control/faults/{fault_id}", self.remove_fault, methods=["DELETE"]),
            Route("/_control/deliveries", self.deliveries, methods=["GET"]),
            Route("/_control/calls", self.calls, methods=["GET"]),
            Route("/_control/idle", self.idle, methods=["GET"]),
            Route("/_control/clock", self.advance_clock, methods=["POST"]),
            Route("/_control/webhook-secrets", self.set_secrets, methods=["PUT"]),
            Route("/_control/reset", self.reset, methods=["POST"]),
        ]

    async def act(self, request: Request) -> Response:
        state = self._codat.state
        ids = request.path_params["company_id"], request.path_params["connection_id"]
        try:
            match request.path_params["action"]:
                case "authorize":
                    connection = state.link(*ids)
                case "cancel":
                    connection = state.cancel(*ids)
                case "revoke":
                    connection = state.revoke(*ids)
                case _:
                    return _error(404, "one of authorize, cancel, read, revoke")
        except Refusal as refusal:
            return _error(refusal.status, refusal.error)
        return JSONResponse(self._codat.serializer.connection(connection))

    async def finish_initial_read(self, request: Request) -> Response:
        state, body = self._codat.state, await _object(request)
        failed, status = body.get("failed", []), body.get("status", "FetchError")
        if not isinstance(failed, list) or not all(isinstance(text, str) for text in [*failed, status]):
            return _error(400, "failed is a list of data types, status the status of a failed read")
        try:
            connection = state.connection(request.path_params["company_id"], request.path_params["connection_id"])
            is_sent = state.finish_initial_read(
                connection.company_id, connection.id, failed=failed, failure_status=status
            )
        except Refusal as refusal:
            return _error(refusal.status, refusal.error)
        except ValueError as error:
            return _error(400, str(error))
        if not is_sent:
            return _error(409, f"a connection that is {connection.status} is not read")
        return JSONResponse(self._codat.serializer.connection(connection))

    async def get_settings(self, _: Request) -> Response:
        return self._settings()

    async def change_settings(self, request: Request) -> Response:
        try:
            change = _SettingsChange.model_validate_json(await request.body())
        except ValidationError as error:
            return _error(400, str(error))
        if change.list_lag is not None:
            self._codat.state.list_lag = change.list_lag
        if change.omit_integration_key is not None:
            self._codat.serializer.omit_integration_key = change.omit_integration_key
        return self._settings()

    async def list_faults(self, _: Request) -> Response:
        return JSONResponse({"results": self._codat.faults.list()})

    async def add_fault(self, request: Request) -> Response:
        try:
            fault = Fault.model_validate_json(await request.body())
        except ValidationError as error:
            return _error(400, str(error))
        self._codat.faults.add(fault)
        return JSONResponse(fault.model_dump(by_alias=True), 201)

    async def clear_faults(self, _: Request) -> Response:
        self._codat.faults.clear()
        return Response(status_code=204)

    async def remove_fault(self, request: Request) -> Response:
        removed = self._codat.faults.remove(request.path_params["fault_id"])
        return Response(status_code=204 if removed else 404)

    async def deliveries(self, _: Request) -> Response:
        return JSONResponse({"results": [d.log_entry() for d in list(self._codat.webhooks.deliveries)]})

    async def calls(self, _: Request) -> Response:
        return JSONResponse({"results": [call.log_entry() for call in self._codat.calls.list()]})

    async def idle(self, request: Request) -> Response:
        try:
            timeout = float(request.query_params.get("timeout", "10"))
        except ValueError:
            return _error(400, "timeout is a number of seconds")
        await asyncio.to_thread(self._codat.background.wait_idle, timeout)
        pending = self._codat.background.pending
        return JSONResponse({"pending": pending}, 504 if pending else 200)

    async def advance_clock(self, request: Request) -> Response:
        seconds = (await _object(request)).get("advanceSeconds")
        if not isinstance(seconds, int | float) or not abs(seconds) <= _MOST_SECONDS:
            return _error(400, f"advanceSeconds is a number, {_MOST_SECONDS} at most")
        self._codat.clock.advance(timedelta(seconds=seconds))
        return JSONResponse({"now": self._codat.clock.now().isoformat()})

    async def set_secrets(self, request: Request) -> Response:
        secrets = (await _object(request)).get("secrets")
        if not isinstance(secrets, list) or not all(_is_secret(secret) for secret in secrets):
            return _error(400, "secrets is a list of whsec_ and base64")
        self._codat.webhooks.secrets = tuple(secrets)
        return Response(status_code=204)

    def _settings(self) -> Response:
        return JSONResponse(
            {
                "listLag": self._codat.state.list_lag,
                "omitIntegrationKey": self._codat.serializer.omit_integration_key,
            }
        )

    async def reset(self, _: Request) -> Response:
        await asyncio.to_thread(self._codat.reset)
        return Response(status_code=204)


async def _object(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _is_secret(value: Any) -> bool:
    if not isinstance(value, str) or not value.startswith("whsec_"):
        return False
    try:
        base64.b64decode(value.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return False
    return True


def _error(status: int, detail: str) -> Response:
    return JSONResponse({"error": detail}, status)
