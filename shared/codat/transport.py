"""HTTP to Codat: one request, its answer or one error of the tree, within the caller's remaining time.

An error answer counts as Codat's only if it is Codat's own document. Anything else came from a gateway in front of
Codat and says nothing about the request: a 404 page must not delete a connection. 401 and 429 are refusals before any
work, whichever of the two sent them.
"""

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

from shared.codat.wire import ErrorMessage, summarize
from shared.domain.customers import Quota
from shared.domain.errors import (
    CodatAccountLimit,
    CodatBusy,
    CodatError,
    CodatInvalidResponse,
    CodatNotFound,
    CodatRateLimited,
    CodatRejected,
    CodatRejectedCredentials,
    CodatTimedOut,
    CodatUnavailable,
)
from shared.domain.timestamps import CLOCK_TOLERANCE, Timestamp, timestamp_of

CONNECT_SECONDS = 2.0
READ_SECONDS = 9.0
"""Two attempts fit into the time of one call."""
MAX_ANSWER_BYTES = 20 * 1024 * 1024

_ERROR_TYPES: Mapping[int, type[CodatError]] = {
    401: CodatRejectedCredentials,
    402: CodatAccountLimit,
    403: CodatRejectedCredentials,
    404: CodatNotFound,
    429: CodatRateLimited,
}

_CREDENTIALS = re.compile(r"https?://\S+|Basic \S+")
"""What Codat's text might quote of a request: the text is logged, and shown to the caller."""

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
        """Codat's clock when it answered, in whole seconds. Ours if the header is missing, or further ahead than
        clocks may differ: it would outrank every event that follows.
        """
        try:
            date = parsedate_to_datetime(self.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError, OverflowError):
            return self.asked_at
        return date if date <= self.asked_at + self.took + CLOCK_TOLERANCE else self.asked_at

    @property
    def quota(self) -> Quota | None:
        values = [self.headers.get(f"x-rate-limit-{name}", "") for name in ("limit", "remaining")]
        return Quota(*map(int, values)) if all(value.isascii() and value.isdigit() for value in values) else None

    @property
    def changed_at(self) -> Timestamp:
        """The time of a change that this answer confirms: Codat's second, and within it the moment of asking.

        Otherwise an earlier event of that second, which has fractions, would outrank the change.
        """
        within = self.date <= self.asked_at < self.date + timedelta(seconds=1)
        return timestamp_of(self.asked_at if within else self.date)

    @property
    def read_at(self) -> Timestamp:
        """A time at which what was read was certainly not older: it was read at some moment of the request."""
        return timestamp_of(self.date - self.took)

    def read(self, model: type[_Model]) -> _Model:
        """Parse the body. Raises CodatInvalidResponse if it breaks Codat's contract."""
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            raise CodatInvalidResponse(f"Codat returned an invalid response ({summarize(error)}).") from error

    def read_nothing(self) -> None:
        """Accept an answer whose status says it all. Raises CodatInvalidResponse if the body is a gateway's page."""
        try:
            json.loads(self.body or "null")
        except (ValueError, RecursionError) as error:
            raise CodatInvalidResponse("Codat returned an invalid response (body).") from error


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    params: Mapping[str, Any] | None
    json: Any = field(repr=False)


class Transport:
    """HTTP to Codat for one invocation, under one API key.

    The key is read once, and again only after a 401: what one request of a call proves holds for the next.
    """

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
        self._api_key: str | None = None
        self.seconds_left = seconds_left
        self.quota: Quota | None = None
        self._now = now
        self._telemetry = telemetry

    @property
    def api_key(self) -> str:
        """The key that is in use. Raises SecretsUnavailable."""
        if self._api_key is None:
            self._api_key = self._credentials.api_key()
        return self._api_key

    def send(
        self,
        method: str,
        *path: str,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Send one request once; path segments are quoted here. Raises a CodatError unless Codat answers 2xx.

        After a 401 the API key is read again. If it has changed, a GET is sent once more; of any other method the error
        is raised as retryable. The caller has to check the new key first, and Codat may replay a 401 under an
        idempotency key.
        """
        request = _Request(method, "/" + "/".join(quote(segment, safe="") for segment in path), params, json)
        try:
            return self._send(request, idempotency_key)
        except CodatRejectedCredentials as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                raise
            rejected, self._api_key = self.api_key, self._credentials.refresh_api_key()
            if self._api_key == rejected:
                raise
            if method != "GET":
                error.retryable = True
                raise
            return self._send(request, None)

    def _send(self, request: _Request, idempotency_key: str | None) -> Answer:
        if not self.api_key:
            raise _without_effect(CodatRejectedCredentials("No Codat API key is configured."))
        left = self.seconds_left()
        if left <= 0:
            raise _without_effect(CodatTimedOut("No time was left to ask Codat."))
        built = self._client.build_request(
            request.method,
            request.path,
            params=request.params,
            json=request.json,
            headers={
                "Authorization": f"Basic {b64encode(self.api_key.encode()).decode()}",
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
        except httpx.ConnectTimeout as error:
            raise _without_effect(CodatTimedOut("Codat did not answer in time.")) from error
        except httpx.ConnectError as error:
            raise _without_effect(CodatUnavailable("Codat can't be reached.")) from error
        except httpx.TimeoutException as error:
            raise CodatTimedOut("Codat did not answer in time.") from error
        except httpx.HTTPError as error:
            if self.seconds_left() <= 0:
                raise CodatTimedOut("Codat did not answer in time.") from error
            raise CodatUnavailable("The connection to Codat broke.") from error
        took = timedelta(seconds=monotonic() - started)
        return Answer(response.status_code, body, response.headers, asked_at, took)

    def _body(self, response: httpx.Response) -> bytes:
        """Read the body in pieces: httpx's read timeout applies to one piece, and a slow server would outlast it."""
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if self.seconds_left() <= 0:
                raise CodatTimedOut("Codat did not finish its answer in time.")
            if len(body) > MAX_ANSWER_BYTES:
                raise CodatUnavailable("Codat's answer was too long.")
        return bytes(body)


def api_key_fingerprint(api_key: str) -> str:
    """Return 64 bits of a hash: they distinguish API keys and reveal nothing else, so they may be stored."""
    return sha256(b"codat-customers:" + api_key.encode()).hexdigest()[:16]


def _without_effect(error: CodatError) -> CodatError:
    error.had_no_effect = True
    return error


def _error(answer: Answer, *, creating: bool) -> CodatError:
    """Translate an error answer to the tree."""
    try:
        document = ErrorMessage.model_validate_json(answer.body)
    except ValidationError:
        document = ErrorMessage()
    is_codats = document.is_codats(answer.status)
    text = f"Codat answered {answer.status}"
    text += f": {_CREDENTIALS.sub('…', document.error)[:300]}" if document.error else "."
    error_type = _error_type(answer.status, creating=creating)
    if not is_codats and answer.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}:
        text = f"A gateway answered {answer.status} in place of Codat. If this persists, check CodatBaseUrl."
        error_type = CodatUnavailable
    error = error_type(text, correlation_id=document.correlation_id)
    error.status = answer.status
    error.is_answer = is_codats and error_type is not CodatBusy
    error.had_no_effect = answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
    if error_type is CodatRateLimited or "retry-after" in answer.headers:
        error.retry_after = _retry_after(answer)
    return error


def _error_type(status: int, *, creating: bool) -> type[CodatError]:
    if status == HTTPStatus.CONFLICT and creating:
        return CodatBusy
    is_rejection = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return _ERROR_TYPES.get(status, CodatRejected if is_rejection else CodatUnavailable)


def _retry_after(answer: Answer) -> int:
    """Return `Retry-After` in seconds, in either of its forms; 1 if Codat names none."""
    header = answer.headers.get("retry-after", "")
    if header.isascii() and header.isdigit():
        return max(1, int(header[:9]))
    try:
        return max(1, ceil((parsedate_to_datetime(header).astimezone(UTC) - answer.date).total_seconds()))
    except (ValueError, OverflowError):
        return 1
