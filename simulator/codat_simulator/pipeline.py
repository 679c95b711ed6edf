"""What happens to a request around its work: faults, authorization, quota, idempotency."""

import asyncio
import base64
from email.utils import format_datetime
from hashlib import sha256
from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from codat_simulator import refusals
from codat_simulator.answers import Answer, failure, failure_page
from codat_simulator.api import Work
from codat_simulator.calls import Call
from codat_simulator.faults import Fault
from codat_simulator.refusals import Refusal
from codat_simulator.requests import ApiRequest
from codat_simulator.simulator import SimulatedCodat
from codat_simulator.transport import drop_connection

_KEYED = frozenset({"POST", "PATCH"})


class Dropped(Exception):
    """The connection ends here, without an answer."""


class ApiEndpoint:
    """The ASGI application of one route."""

    def __init__(self, codat: SimulatedCodat, work: Work) -> None:
        self._codat = codat
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        api_request = ApiRequest(
            method=request.method,
            path=request.url.path,
            params=request.path_params,
            query=dict(request.query_params),
            body=await request.body(),
        )
        key = request.headers.get("Idempotency-Key") if request.method in _KEYED else None
        call = self._codat.calls.record(request.method, request.url.path, request.url.query, key)
        try:
            answer = await self._answer(api_request, call, request.headers.get("Authorization", ""))
        except Dropped:
            await drop_connection(scope, receive)
            return
        call.status = answer.status
        await response(self._codat, answer)(scope, receive, send)

    async def _answer(self, request: ApiRequest, call: Call, authorization: str) -> Answer:
        codat, faults = self._codat, self._codat.faults
        # Before Codat: a broken network, or an outage of a gateway.
        if faults.of_call("drop", "before", request.method, request.path):
            raise Dropped
        if outage := faults.of_call("status", "before", request.method, request.path, cached=False):
            return _injected(outage)
        if not self._authorized(authorization):
            return failure(refusals.unauthorized())
        if exceeded := codat.quota.take():
            return failure(exceeded)
        try:
            answer = await self._once(request, call)
        except Refusal as refusal:
            answer = failure(refusal)
        if faults.of_call("drop", "after", request.method, request.path):
            raise Dropped
        if outage := faults.of_call("status", "after", request.method, request.path, cached=False):
            return _injected(outage)
        return answer

    async def _once(self, request: ApiRequest, call: Call) -> Answer:
        key = call.idempotency_key
        if key is None:
            return await self._done(request)
        idempotency = self._codat.idempotency
        remembered = idempotency.claim(key, _fingerprint(request))
        if remembered is not None:
            call.replayed = True
            return remembered
        try:
            answer = await self._done(request)
        except BaseException:
            idempotency.release(key)
            raise
        idempotency.settle(key, answer)
        return answer

    async def _done(self, request: ApiRequest) -> Answer:
        faults = self._codat.faults
        if latency := faults.of_call("latency", "before", request.method, request.path):
            await asyncio.sleep(latency.seconds)
        if fault := faults.of_call("status", "before", request.method, request.path, cached=True):
            return _injected(fault)
        try:
            answer = self._work(self._codat, request)
        except Refusal as refusal:
            answer = failure(refusal)
        if fault := faults.of_call("status", "after", request.method, request.path, cached=True):
            answer = _injected(fault)
        if latency := faults.of_call("latency", "after", request.method, request.path):
            await asyncio.sleep(latency.seconds)
        return answer

    def _authorized(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        expected = [base64.b64encode(key.encode()) for key in self._codat.api_keys]
        # Every key is compared, so that the time tells nothing.
        same = [compare_digest(given.strip().encode(), key) for key in expected]
        return scheme.lower() == "basic" and any(same)


def response(codat: SimulatedCodat, answer: Answer) -> Response:
    """The answer on the wire, dated by Codat's own clock, which a test may have moved."""
    headers = {
        **answer.headers,
        **codat.quota.headers(),
        "Date": format_datetime(codat.clock.now().replace(microsecond=0), usegmt=True),
    }
    return Response(answer.body or None, answer.status, headers)


def _injected(fault: Fault) -> Answer:
    """Return the answer of a `status` fault."""
    refusal = refusals.of_status(fault.status, fault.retry_after)
    if fault.page:
        return failure_page(refusal)
    return failure(refusal, with_correlation_id=not fault.omit_correlation_id)


def _fingerprint(request: ApiRequest) -> bytes:
    return sha256(f"{request.method} {request.path}\n".encode() + request.body).digest()
