"""The steps of an API call around its handler: faults, authorization, quota, idempotency."""

import asyncio
import base64
import time
from email.utils import format_datetime
from hashlib import sha256
from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from codat_simulator.api import Handler
from codat_simulator.call_log import Call
from codat_simulator.errors import ApiError, error_for_status
from codat_simulator.faults import CallFault, Fault, When
from codat_simulator.request_models import ApiRequest
from codat_simulator.responses import error_response, gateway_error_page
from codat_simulator.simulator import SimulatedCodat
from codat_simulator.transport import drop_connection

_METHODS_WITH_KEY = frozenset({"POST", "PATCH"})


class DropConnection(Exception):
    """A fault closes the connection without a response."""


class ApiEndpoint:
    """The ASGI application of a route."""

    def __init__(self, codat: SimulatedCodat, handler: Handler) -> None:
        self._codat = codat
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        api_request = ApiRequest(
            method=request.method,
            path=request.url.path,
            params=request.path_params,
            query=dict(request.query_params),
            body=await request.body(),
        )
        key = request.headers.get("Idempotency-Key") if request.method in _METHODS_WITH_KEY else None
        call = Call(method=request.method, path=request.url.path, query=request.url.query, idempotency_key=key)
        self._codat.calls.add(call)
        started = time.monotonic()
        try:
            response = await self._respond(api_request, call, request.headers.get("Authorization", ""))
        except DropConnection:
            self._observe(call, started, api_request.body, b"")
            await drop_connection(scope, receive)
            return
        call.status = response.status_code
        self._observe(call, started, api_request.body, bytes(response.body))
        await with_headers(self._codat, response)(scope, receive, send)

    def _observe(self, call: Call, started: float, request_body: bytes, response_body: bytes) -> None:
        if self._codat.observe_call:
            self._codat.observe_call(call, time.monotonic() - started, request_body, response_body)

    async def _respond(self, request: ApiRequest, call: Call, authorization: str) -> Response:
        if outage := self._outage("before", request):
            return outage
        if not self._is_authorized(authorization):
            return error_response(error_for_status(401))
        if quota_error := self._codat.quota.take():
            return error_response(quota_error)
        try:
            response = await self._handle_idempotently(request, call)
        except ApiError as error:
            response = error_response(error)
        return self._outage("after", request) or response

    async def _handle_idempotently(self, request: ApiRequest, call: Call) -> Response:
        key = call.idempotency_key
        if key is None:
            return await self._handle(request)
        idempotency = self._codat.idempotency
        fingerprint = sha256(f"{request.method} {request.path}\n".encode() + request.body).digest()
        if cached := idempotency.begin(key, fingerprint):
            call.replayed = True
            return cached
        try:
            response = await self._handle(request)
        except BaseException:
            idempotency.discard(key)
            raise
        idempotency.complete(key, response)
        return response

    async def _handle(self, request: ApiRequest) -> Response:
        if latency := self._fault("latency", "before", request):
            await asyncio.sleep(latency.seconds)
        if fault := self._fault("status", "before", request, cached=True):
            return _fault_response(fault)
        try:
            response = self._handler(self._codat, request)
        except ApiError as error:
            response = error_response(error)
        if fault := self._fault("status", "after", request, cached=True):
            response = _fault_response(fault)
        if latency := self._fault("latency", "after", request):
            await asyncio.sleep(latency.seconds)
        return response

    def _outage(self, when: When, request: ApiRequest) -> Response | None:
        """Apply the faults of the network and of gateways in front of Codat."""
        if self._fault("drop", when, request):
            raise DropConnection
        fault = self._fault("status", when, request, cached=False)
        return _fault_response(fault) if fault else None

    def _fault(self, kind: CallFault, when: When, request: ApiRequest, *, cached: bool | None = None) -> Fault | None:
        return self._codat.faults.for_call(kind, when, request.method, request.path, cached=cached)

    def _is_authorized(self, header: str) -> bool:
        scheme, _, credentials = header.partition(" ")
        expected = [base64.b64encode(key.encode()) for key in self._codat.api_keys]
        # Compares every key, so that the time reveals nothing.
        matches = [compare_digest(credentials.strip().encode(), key) for key in expected]
        return scheme.lower() == "basic" and any(matches)


def with_headers(codat: SimulatedCodat, response: Response) -> Response:
    """Return a copy with the quota's headers and the date of Codat's clock, which a test can advance."""
    headers = {
        **response.headers,
        **codat.quota.headers(),
        "Date": format_datetime(codat.clock.now().replace(microsecond=0), usegmt=True),
    }
    return Response(response.body, response.status_code, headers)


def _fault_response(fault: Fault) -> Response:
    error = error_for_status(fault.status, fault.retry_after)
    if fault.page:
        return gateway_error_page(error)
    return error_response(error, with_correlation_id=not fault.omit_correlation_id)
