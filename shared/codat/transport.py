"""HTTP to Codat: one request, its answer or one error of the tree, inside the caller's remaining time."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from http import HTTPStatus
from math import ceil
from time import monotonic
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from shared.codat.wire import ErrorMessage, what_was_wrong
from shared.domain.customers import Quota
from shared.domain.errors import (
    CodatAccountLimit,
    CodatBusy,
    CodatError,
    CodatMadeNoSense,
    CodatNotFound,
    CodatRateLimited,
    CodatRejected,
    CodatRejectedCredentials,
    CodatTimedOut,
    CodatUnavailable,
)
from shared.domain.instants import CLOCK_TOLERANCE, Instant, instant_of

CONNECT_SECONDS = 2.0
READ_SECONDS = 9.0
"""Two tries fit into the time of one call."""
MAX_ANSWER_BYTES = 20 * 1024 * 1024

_REFUSALS: Mapping[int, type[CodatError]] = {
    401: CodatRejectedCredentials,
    402: CodatAccountLimit,
    403: CodatRejectedCredentials,
    404: CodatNotFound,
}

_CREDENTIALS = re.compile(r"https?://\S+|Basic \S+")
"""What Codat's words might quote of a request: they are logged, and shown to the caller."""

_Model = TypeVar("_Model", bound=BaseModel)


class Credentials(Protocol):
    def api_key(self) -> str: ...

    def refresh_api_key(self) -> str: ...


class Telemetry(Protocol):
    def count(self, metric: str, **dimensions: str) -> None: ...

    def measure(self, metric: str, value: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = field(repr=False)
    headers: httpx.Headers
    asked_at: datetime
    took: timedelta

    @property
    def date(self) -> datetime:
        """Codat's clock when it answered, in whole seconds; ours where it didn't say, or is further ahead than clocks
        may differ: it would outrank every event that follows.
        """
        try:
            told = parsedate_to_datetime(self.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError, OverflowError):
            return self.asked_at
        return told if told <= self.asked_at + self.took + CLOCK_TOLERANCE else self.asked_at

    @property
    def quota(self) -> Quota | None:
        told = [self.headers.get(f"x-rate-limit-{name}", "") for name in ("limit", "remaining")]
        return Quota(*map(int, told)) if all(value.isascii() and value.isdigit() for value in told) else None

    @property
    def changed_at(self) -> Instant:
        """The time of a change that this answer confirms: the second that Codat tells, and in it the moment of asking.
        Else what happened earlier in that second, and is told by a webhook with fractions, would stand above it.
        """
        within = self.date <= self.asked_at < self.date + timedelta(seconds=1)
        return instant_of(self.asked_at if within else self.date)

    @property
    def read_at(self) -> Instant:
        """A time at which what was read was certainly not older: the read happened at some moment of the request."""
        return instant_of(self.date - self.took)

    def read(self, model: type[_Model]) -> _Model:
        """Raises CodatMadeNoSense where the answer is not what Codat's contract says."""
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            raise self._nonsense(what_was_wrong(error), is_json=error.errors()[0]["type"] != "json_invalid") from error

    def read_nothing(self) -> None:
        """For an answer whose status says it all. Raises CodatMadeNoSense where it is some page instead of Codat's."""
        try:
            json.loads(self.body or "null")
        except (ValueError, RecursionError) as error:
            raise self._nonsense("body", is_json=False) from error

    def _nonsense(self, what: str, *, is_json: bool) -> CodatMadeNoSense:
        # A page is a gateway's, as in `_is_a_gateways`.
        fingerprint = _fingerprint(self.status, self.body) if is_json else None
        return CodatMadeNoSense(f"Codat's answer made no sense ({what}).", fingerprint=fingerprint)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    params: Mapping[str, Any] | None
    json: Any = field(repr=False)


class Transport:
    def __init__(
        self,
        client: httpx.Client,
        credentials: Credentials,
        seconds_left: Callable[[], float],
        now: Callable[[], datetime],
        telemetry: Telemetry,
    ) -> None:
        self._client = client
        self._credentials = credentials
        self.seconds_left = seconds_left
        self.quota: Quota | None = None
        self.key_id = ""
        """The API key's of the last request."""
        self._now = now
        self._telemetry = telemetry

    def send(
        self,
        method: str,
        *path: str,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """One request, sent once; path segments are quoted here. Raises a CodatError unless Codat says 2xx.

        A 401 reads the API key again. Where it has changed, a request without an idempotency key is sent once more;
        with one the error is raised as retryable, since Codat may replay its 401 under that key.
        """
        request = _Request(method, "/" + "/".join(quote(segment, safe="") for segment in path), params, json)
        used = self._credentials.api_key()
        try:
            return self._send(request, used, idempotency_key)
        except CodatRejectedCredentials as error:
            refreshed = self._credentials.refresh_api_key()
            if refreshed == used:
                raise
            if idempotency_key is not None:
                raise CodatRejectedCredentials(
                    str(error), refreshed=True, correlation_id=error.correlation_id
                ) from error
            return self._send(request, refreshed, None)

    def _send(self, request: _Request, api_key: str, idempotency_key: str | None) -> Answer:
        if not api_key:
            raise CodatRejectedCredentials("No Codat API key is configured.")
        self.key_id = key_id(api_key)
        left = self.seconds_left()
        if left <= 0:
            raise CodatTimedOut("No time was left to ask Codat.")
        built = self._client.build_request(
            request.method,
            request.path,
            params=request.params,
            json=request.json,
            headers={
                "Authorization": f"Basic {b64encode(api_key.encode()).decode()}",
                **({} if idempotency_key is None else {"Idempotency-Key": idempotency_key}),
            },
            timeout=httpx.Timeout(min(READ_SECONDS, left), connect=min(CONNECT_SECONDS, left)),
        )
        try:
            answer = self._exchange(built)
        except CodatTimedOut:
            self._telemetry.count("CodatCall", outcome="timed-out")
            raise
        except CodatUnavailable:
            self._telemetry.count("CodatCall", outcome="unreachable")
            raise
        self._telemetry.count("CodatCall", outcome=str(answer.status))
        if answer.quota is not None:
            self.quota = answer.quota
            self._telemetry.measure("CodatQuotaRemaining", answer.quota.remaining)
        if not httpx.codes.is_success(answer.status):
            raise _error(answer, creating=request.method == "POST")
        return answer

    def _exchange(self, request: httpx.Request) -> Answer:
        asked_at, started = self._now(), monotonic()
        try:
            response = self._client.send(request, stream=True)
            try:
                body = self._body(response)
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise CodatTimedOut("Codat did not answer in time.") from error
        except httpx.HTTPError as error:
            if self.seconds_left() <= 0:
                raise CodatTimedOut("Codat did not answer in time.") from error
            raise CodatUnavailable("Codat is out of reach.") from error
        took = timedelta(seconds=monotonic() - started)
        return Answer(response.status_code, body, response.headers, asked_at, took)

    def _body(self, response: httpx.Response) -> bytes:
        """The body, read in pieces: httpx's read timeout is one piece's, and a server that drips would outlive it."""
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if self.seconds_left() <= 0:
                raise CodatTimedOut("Codat did not finish its answer in time.")
            if len(body) > MAX_ANSWER_BYTES:
                raise CodatUnavailable("Codat's answer was too long.")
        return bytes(body)


def key_id(api_key: str) -> str:
    """Tells an API key from another one, and nothing else about it: it may be stored."""
    return sha256(b"codat-customers:" + api_key.encode()).hexdigest()[:16]


def _error(answer: Answer, *, creating: bool) -> CodatError:
    try:
        told = ErrorMessage.model_validate_json(answer.body)
    except ValidationError:
        told = ErrorMessage()
    words = f"Codat answered {answer.status}" + (f": {_CREDENTIALS.sub('…', told.error)[:300]}" if told.error else ".")
    correlation_id = told.correlation_id
    if refusal := _REFUSALS.get(answer.status):
        return refusal(words, correlation_id=correlation_id)
    match answer.status:
        case 409 if creating:
            return CodatBusy(words, correlation_id=correlation_id)
        case 429:
            return CodatRateLimited(words, retry_after=_retry_after(answer), correlation_id=correlation_id)
        case status if 400 <= status < 500:  # noqa: PLR2004  # the class of refusals
            return CodatRejected(words, correlation_id=correlation_id)
        case status:
            fingerprint = None if _is_a_gateways(status, correlation_id) else _fingerprint(status, answer.body)
            wait = _retry_after(answer) if "retry-after" in answer.headers else None
            return CodatUnavailable(words, fingerprint=fingerprint, retry_after=wait, correlation_id=correlation_id)


def _is_a_gateways(status: int, correlation_id: str | None) -> bool:
    """Codat's errors carry a correlation id. What stands in front of it answers for a request that may still run."""
    return correlation_id is None and status > HTTPStatus.INTERNAL_SERVER_ERROR


def _retry_after(answer: Answer) -> int:
    """`Retry-After` in either of its forms; a second where Codat names none."""
    said = answer.headers.get("retry-after", "")
    if said.isascii() and said.isdigit():
        return max(1, int(said[:9]))
    try:
        return max(1, ceil((parsedate_to_datetime(said).astimezone(UTC) - answer.date).total_seconds()))
    except (ValueError, OverflowError):
        return 1


def _fingerprint(status: int, body: bytes) -> str:
    return f"{status}:{sha256(body).hexdigest()}"
