"""HTTP to Codat: send a request once, and return its response or raise an error of the tree.

An error response counts as Codat's only if it contains Codat's own document. Any other comes from a gateway in front of
Codat and is no evidence about the request: a 404 page must not delete a connection. 401 and 429 are refusals before any
work, from either of the two.
"""

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
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from shared.codat.wire import ErrorMessage, Model, summarize
from shared.domain import errors
from shared.domain.customers import Quota
from shared.domain.timestamps import CLOCK_TOLERANCE, Timestamp, timestamp_of

if TYPE_CHECKING:
    from shared.domain.telemetry import Telemetry

CONNECT_SECONDS = 2.0
READ_SECONDS = 9.0
"""Two attempts fit into the time of one call."""
MAX_BODY_BYTES = 20 * 1024 * 1024

_ERROR_TYPES: Mapping[int, type[errors.CodatError]] = {
    401: errors.CodatRejectedCredentials,
    402: errors.CodatAccountLimit,
    403: errors.CodatRejectedCredentials,
    404: errors.CodatNotFound,
    429: errors.CodatRateLimited,
}
_REFUSED_BEFORE_WORK = {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
_CREDENTIALS = re.compile(r"https?://\S+|Basic \S+")
"""Parts of a request that an error text may quote. The text is logged and returned to the caller."""


class Credentials(Protocol):
    def api_key(self) -> str: ...

    def refresh_api_key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = field(repr=False)
    headers: httpx.Headers
    requested_at: datetime
    duration: timedelta

    @property
    def date(self) -> datetime:
        """The `Date` header: Codat's clock, in whole seconds.

        Our clock if the header is missing, or further ahead than clocks may differ: it would outrank later events.
        """
        try:
            date = parsedate_to_datetime(self.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError, OverflowError):
            return self.requested_at
        return date if date <= self.requested_at + self.duration + CLOCK_TOLERANCE else self.requested_at

    @property
    def quota(self) -> Quota | None:
        values = [self.headers.get(f"x-rate-limit-{name}", "") for name in ("limit", "remaining")]
        return Quota(*map(int, values)) if all(value.isascii() and value.isdigit() for value in values) else None

    @property
    def changed_at(self) -> Timestamp:
        """The time of a confirmed change: Codat's second, and within it the time of the request.

        Events have fractions: without that, an earlier event of the same second would outrank the change.
        """
        within = self.date <= self.requested_at < self.date + timedelta(seconds=1)
        return timestamp_of(self.requested_at if within else self.date)

    @property
    def read_at(self) -> Timestamp:
        """The earliest time at which Codat can have read the data: the start of the request, on Codat's clock."""
        return timestamp_of(self.date - self.duration)

    def read(self, model: type[Model]) -> Model:
        """Parse the body. Raises CodatInvalidResponse if it breaks Codat's contract."""
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            raise errors.CodatInvalidResponse(f"Codat returned an invalid response ({summarize(error)}).") from error


class Transport:
    """HTTP to Codat for one invocation, under one API key.

    The key is read once, and again only after a 401. Until then, a proof about the key holds for later requests.
    """

    def __init__(
        self,
        client: httpx.Client,
        credentials: Credentials,
        seconds_left: Callable[[], float],
        now: Callable[[], datetime],
        telemetry: "Telemetry",
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
        """The key in use. Raises SecretsUnavailable."""
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
    ) -> Response:
        """Send one request once; path segments are quoted here. Raises a CodatError unless the response is 2xx.

        After a 401 the API key is read again, and the error is retryable if the key has changed. Only the caller
        repeats the request: it has to check the new key first, and Codat may replay a 401 under an idempotency key.
        """
        if not self.api_key:
            raise errors.CodatRejectedCredentials("No Codat API key is configured.", had_no_effect=True)
        left = self.seconds_left()
        if left <= 0:
            raise errors.CodatTimedOut("No time was left for a request to Codat.", had_no_effect=True)
        response = self._measured(
            method,
            "/" + "/".join(quote(segment, safe="") for segment in path),
            params=params,
            json=json,
            headers={
                "Authorization": f"Basic {b64encode(self.api_key.encode()).decode()}",
                **({} if idempotency_key is None else {"Idempotency-Key": idempotency_key}),
            },
            timeout=httpx.Timeout(min(READ_SECONDS, left), connect=min(CONNECT_SECONDS, left)),
        )
        if httpx.codes.is_success(response.status):
            return response
        error = _error(response, creating=method == "POST", api_key=self.api_key)
        if response.status == HTTPStatus.UNAUTHORIZED:
            rejected, self._api_key = self.api_key, self._credentials.refresh_api_key()
            error.retryable = self._api_key != rejected
        raise error

    def _measured(self, method: str, url: str, **options: Any) -> Response:
        try:
            response = self._exchange(method, url, **options)
        except errors.CodatUnavailable as error:
            outcome = "timed-out" if isinstance(error, errors.CodatTimedOut) else "unreachable"
            self._telemetry.count("CodatCall", outcome=outcome)
            raise
        self._telemetry.count("CodatCall", outcome=str(response.status))
        if response.quota is not None:
            self.quota = response.quota
            self._telemetry.measure("CodatQuotaRemaining", response.quota.remaining)
            if response.quota.limit:
                percent = 100 * response.quota.remaining / response.quota.limit
                self._telemetry.measure("CodatQuotaRemainingPercent", percent)
        return response

    def _exchange(self, method: str, url: str, **options: Any) -> Response:
        requested_at, started = self._now(), monotonic()
        try:
            with self._client.stream(method, url, **options) as response:
                body = self._body(response)
        except httpx.HTTPError as error:
            is_unsent = isinstance(error, httpx.ConnectTimeout | httpx.ConnectError)
            timed_out = isinstance(error, httpx.TimeoutException) or (not is_unsent and self.seconds_left() <= 0)
            if timed_out:
                raise errors.CodatTimedOut("Codat did not respond in time.", had_no_effect=is_unsent) from error
            text = "Codat can't be reached." if is_unsent else "The connection to Codat broke."
            raise errors.CodatUnavailable(text, had_no_effect=is_unsent) from error
        duration = timedelta(seconds=monotonic() - started)
        return Response(response.status_code, body, response.headers, requested_at, duration)

    def _body(self, response: httpx.Response) -> bytes:
        """Read the body in pieces: httpx's read timeout applies to one piece, so a slow server could exceed it."""
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if self.seconds_left() <= 0:
                raise errors.CodatTimedOut("Codat's response was not complete in time.")
            if len(body) > MAX_BODY_BYTES:
                raise errors.CodatUnavailable("Codat's response was too long.")
        return bytes(body)


def api_key_fingerprint(api_key: str) -> str:
    """Return 64 bits of a hash. They distinguish API keys without revealing them, so they may be stored."""
    return sha256(b"codat-customers:" + api_key.encode()).hexdigest()[:16]


def _error(response: Response, *, creating: bool, api_key: str) -> errors.CodatError:
    try:
        document = ErrorMessage.model_validate_json(response.body)
    except ValidationError:
        document = ErrorMessage()
    is_codats = document.is_codats(response.status)
    if is_codats or response.status in _REFUSED_BEFORE_WORK:
        quoted = _CREDENTIALS.sub("…", (document.error or "").replace(api_key, "…"))[:300]
        text = f"Codat answered {response.status}" + (f": {quoted}" if quoted else ".")
        error_type = _error_type(response.status, creating=creating)
    else:
        text = f"A gateway answered {response.status} in place of Codat. If this persists, check CodatBaseUrl."
        error_type = errors.CodatUnavailable
    error = error_type(
        text, correlation_id=document.correlation_id, had_no_effect=response.status in _REFUSED_BEFORE_WORK
    )
    error.status = response.status
    error.is_answer = is_codats and error_type is not errors.CodatBusy
    if error_type is errors.CodatRateLimited or "retry-after" in response.headers:
        error.retry_after = _retry_after(response)
    return error


def _error_type(status: int, *, creating: bool) -> type[errors.CodatError]:
    if status == HTTPStatus.CONFLICT and creating:
        return errors.CodatBusy
    is_rejection = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return _ERROR_TYPES.get(status, errors.CodatRejected if is_rejection else errors.CodatUnavailable)


def _retry_after(response: Response) -> int:
    """Return `Retry-After` in seconds, from either of its forms; 1 without a valid one."""
    header = response.headers.get("retry-after", "")
    if header.isascii() and header.isdigit():
        return max(1, int(header[:9]))
    try:
        return max(1, ceil((parsedate_to_datetime(header).astimezone(UTC) - response.date).total_seconds()))
    except (ValueError, OverflowError):
        return 1
