"""The error for each response of Codat or of a gateway in front of it, and whether the request may have worked."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.codat.transport import Response, Transport, api_key_fingerprint
from shared.codat.wire import ErrorMessage
from shared.domain.customers import Quota
from shared.domain.errors import (
    CodatAccountLimit,
    CodatBusy,
    CodatError,
    CodatNotFound,
    CodatRateLimited,
    CodatRejected,
    CodatRejectedCredentials,
    CodatTimedOut,
    CodatUnavailable,
)
from tests.unit.codat.doubles import HTML, CountingTelemetry, Keys, error_document

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Handler = Callable[[httpx.Request], httpx.Response]


def transport(
    handler: Handler,
    *,
    keys: Keys | None = None,
    telemetry: CountingTelemetry | None = None,
    seconds_left: float = 20.0,
) -> Transport:
    client = httpx.Client(base_url="https://codat.example", transport=httpx.MockTransport(handler))
    return Transport(client, keys or Keys(), lambda: seconds_left, lambda: NOW, telemetry or CountingTelemetry())


def answering(status: int, body: Any, **headers: str) -> Handler:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _request: httpx.Response(
        status, content=raw, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def failure(handler: Handler, method: str = "GET", **options: Any) -> CodatError:
    with pytest.raises(CodatError) as raised:
        transport(handler, **options).send(method, "companies", "1", json={} if method != "GET" else None)
    return raised.value


GATEWAY_BODIES: dict[str, Callable[[int], Any]] = {
    "HTML": lambda _: HTML,
    "nothing": lambda _: b"",
    "JSON without a status": lambda _: {"error": "Bad Gateway", "correlationId": "c0ffee", "service": "Gateway"},
    "JSON with another status": lambda status: error_document(status + 1),
    "JSON with the status as text": lambda status: error_document(status, statusCode=str(status)),
    "only a status": lambda status: {"statusCode": status},
    "a status and a message": lambda status: {"statusCode": status, "error": "Bad Gateway"},
    "a status and a service": lambda status: {"statusCode": status, "service": "Gateway"},
    "wrong types": lambda status: {"statusCode": status, "correlationId": {}, "error": 7},
    "a list": lambda status: [error_document(status)],
}

# By status, of a request that creates nothing.
CODATS = {
    400: CodatRejected,
    402: CodatAccountLimit,
    403: CodatRejectedCredentials,
    404: CodatNotFound,
    409: CodatRejected,
    422: CodatRejected,
    500: CodatUnavailable,
    503: CodatUnavailable,
}
REFUSED_BEFORE_ANY_WORK = {401: CodatRejectedCredentials, 429: CodatRateLimited}


@pytest.mark.parametrize("status", CODATS)
@pytest.mark.parametrize(
    "fields", [{}, {"service": None, "error": None}, {"correlationId": None}], ids=["all", "correlation id", "words"]
)
def test_an_error_document_of_codat_is_an_answer(status: int, fields: dict[str, Any]) -> None:
    """It has the status of the response, and a correlation id, or the service and its error."""
    error = failure(answering(status, error_document(status, **fields)))
    assert type(error) is CODATS[status]
    assert (error.status, error.is_answer, error.had_no_effect) == (status, True, False)
    has_id = fields.get("correlationId", "c0ffee") is not None
    assert error.correlation_id == ("c0ffee" if has_id else None)
    # Only what carries a correlation id can be recognized as a replay.
    assert error.answer_id == (f"{status}:c0ffee" if has_id else None)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("body", GATEWAY_BODIES)
@pytest.mark.parametrize("status", CODATS)
def test_the_error_of_a_gateway_is_no_answer(status: int, body: str, method: str) -> None:
    """A 404 page must not delete a connection, and a 400 page is no refusal."""
    error = failure(answering(status, GATEWAY_BODIES[body](status)), method)
    assert type(error) is CodatUnavailable
    assert (error.status, error.is_answer, error.had_no_effect) == (status, False, False)
    assert error.retryable
    assert error.answer_id is None
    assert str(error) == f"A gateway answered {status} in place of Codat. If this persists, check CodatBaseUrl."


@pytest.mark.parametrize("body", ["Codat", *GATEWAY_BODIES])
@pytest.mark.parametrize("status", REFUSED_BEFORE_ANY_WORK)
def test_401_and_429_are_refusals_before_any_work(status: int, body: str) -> None:
    """Whether Codat or a gateway sent them."""
    is_codats = body == "Codat"
    error = failure(answering(status, error_document(status) if is_codats else GATEWAY_BODIES[body](status)))
    assert type(error) is REFUSED_BEFORE_ANY_WORK[status]
    assert (error.status, error.is_answer, error.had_no_effect) == (status, is_codats, True)


def test_409_to_a_creation_means_that_it_is_still_running() -> None:
    """The request that is running has no answer yet. For any other method a 409 is a refusal."""
    error = failure(answering(409, error_document(409)), "POST")
    assert type(error) is CodatBusy
    assert (error.is_answer, error.had_no_effect, error.retryable) == (False, False, True)
    assert error.answer_id is None
    assert type(failure(answering(409, error_document(409)), "PATCH")) is CodatRejected


@pytest.mark.parametrize(
    ("document", "is_codats"),
    [
        ({"statusCode": 404, "correlationId": "c"}, True),
        ({"statusCode": 404, "service": "ClientAPI", "error": "No."}, True),
        ({"statusCode": 404, "service": "ClientAPI", "error": ""}, False),
        ({"statusCode": 404, "correlationId": ""}, False),
        ({"statusCode": 404, "error": "No."}, False),
        ({"statusCode": 404}, False),
        ({"statusCode": 500, "correlationId": "c"}, False),
        ({"correlationId": "c", "service": "ClientAPI", "error": "No."}, False),
        ({}, False),
    ],
)
def test_a_document_of_codat_is_recognised(document: dict[str, Any], *, is_codats: bool) -> None:
    """GIVEN a response 404."""
    assert ErrorMessage.model_validate(document).is_codats(404) is is_codats


@pytest.mark.parametrize("raised", [httpx.ConnectError, httpx.ConnectTimeout])
def test_a_request_without_a_connection_had_no_effect(raised: type[httpx.HTTPError]) -> None:
    def unreachable(_: httpx.Request) -> httpx.Response:
        raise raised("down")

    error = failure(unreachable, "POST")
    assert isinstance(error, CodatTimedOut) == (raised is httpx.ConnectTimeout)
    assert isinstance(error, CodatUnavailable)
    assert (error.had_no_effect, error.is_answer, error.retryable) == (True, False, True)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx.ReadTimeout, CodatTimedOut),
        (httpx.WriteTimeout, CodatTimedOut),
        (httpx.ReadError, CodatUnavailable),
        (httpx.RemoteProtocolError, CodatUnavailable),
    ],
)
def test_a_request_without_an_answer_may_have_worked(raised: type[httpx.HTTPError], expected: type[CodatError]) -> None:
    def silent(_: httpx.Request) -> httpx.Response:
        raise raised("down")

    error = failure(silent, "POST")
    assert type(error) is expected
    assert (error.had_no_effect, error.is_answer, error.retryable, error.status) == (False, False, True, None)


def test_an_answer_that_breaks_off_may_have_worked() -> None:
    """GIVEN a status and half of a body THEN the request may have worked."""

    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b'{"id"'
            raise httpx.ReadError("broken")

    error = failure(lambda _: httpx.Response(200, stream=Broken()), "POST")
    assert type(error) is CodatUnavailable
    assert (error.had_no_effect, error.is_answer) == (False, False)


def test_nothing_is_sent_without_time_or_a_key() -> None:
    """So the request had no effect."""
    sent: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    late = failure(note, "POST", seconds_left=0)
    assert (type(late), late.had_no_effect) == (CodatTimedOut, True)
    keyless = failure(note, "POST", keys=Keys("", ""))
    assert (type(keyless), keyless.had_no_effect, keyless.retryable) == (CodatRejectedCredentials, True, False)
    assert sent == []


def rotated(sent: list[tuple[str, str | None]]) -> Handler:
    """Accept the key "new" alone, and note each request's key and idempotency key."""

    def answer(request: httpx.Request) -> httpx.Response:
        api_key = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        sent.append((api_key, request.headers.get("idempotency-key")))
        return httpx.Response(200 if api_key == "new" else 401, json=error_document(401))

    return answer


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
def test_after_a_401_the_caller_can_repeat_the_request_with_a_rotated_key(method: str) -> None:
    """The new key may be another Codat client's, and Codat may replay the 401: so the error is retryable."""
    sent: list[tuple[str, str | None]] = []
    client = transport(rotated(sent), keys=Keys("old", "new"))
    with pytest.raises(CodatRejectedCredentials) as raised:
        client.send(method, "companies", idempotency_key="key-1")
    assert (raised.value.retryable, raised.value.had_no_effect) == (True, True)
    assert sent == [("old", "key-1")]
    assert client.send(method, "companies", idempotency_key="key-2").status == 200
    assert sent == [("old", "key-1"), ("new", "key-2")]
    assert client.api_key == "new"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_401_with_the_same_key_is_final(method: str) -> None:
    """So is a 403 with any key: the key is accepted, and not allowed to do this."""
    sent: list[tuple[str, str | None]] = []
    with pytest.raises(CodatRejectedCredentials) as raised:
        transport(rotated(sent), keys=Keys("old", "old")).send(method, "companies")
    assert not raised.value.retryable
    assert len(sent) == 1
    forbidden = failure(answering(403, error_document(403)), method, keys=Keys("old", "new"))
    assert not forbidden.retryable


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7), ("0", 1), ("Sun, 22 Nov 2026 12:00:09 GMT", 9), ("Sun, 22 Nov 2026 11:00:00 GMT", 1), ("soon", 1)],
)
def test_retry_after_in_seconds(header: str, expected: int) -> None:
    """In either of its forms, at least 1."""
    handler = answering(429, error_document(429), retry_after=header, date="Sun, 22 Nov 2026 12:00:00 GMT")
    assert failure(handler).retry_after == expected
    assert failure(answering(429, error_document(429))).retry_after == 1
    assert failure(answering(503, error_document(503))).retry_after is None
    assert failure(answering(503, HTML, retry_after="7")).retry_after == 7


def test_links_and_credentials_in_an_error_are_removed() -> None:
    """The text is logged and shown to the caller."""
    text = "No https://link.codat.io/company/1?otp=2 for Basic a2V5 here"
    error = failure(answering(400, error_document(400, error=text)))
    assert str(error) == "Codat answered 400: No … for … here"


def test_calls_and_the_quota_are_measured() -> None:
    """Calls by outcome; the quota of the last response."""
    telemetry = CountingTelemetry()
    answers = iter(
        [
            answering(200, {}, x_rate_limit_limit="1000", x_rate_limit_remaining="5"),
            answering(404, error_document(404)),
            answering(200, {}, x_rate_limit_limit="many", x_rate_limit_remaining="4"),
        ]
    )

    def answer(request: httpx.Request) -> httpx.Response:
        return next(answers)(request)

    client = transport(answer, telemetry=telemetry)
    client.send("GET", "companies")
    assert client.quota == Quota(1000, 5)
    with pytest.raises(CodatNotFound):
        client.send("GET", "companies", "1")
    client.send("GET", "companies")
    assert client.quota == Quota(1000, 5)
    assert telemetry.outcomes == ["200", "404", "200"]
    assert telemetry.measured == {"CodatQuotaRemaining": 5, "CodatQuotaRemainingPercent": 0.5}


def test_a_quota_of_zero_has_no_percentage() -> None:
    telemetry = CountingTelemetry()
    transport(answering(200, {}, x_rate_limit_limit="0", x_rate_limit_remaining="0"), telemetry=telemetry).send("GET")
    assert telemetry.measured == {"CodatQuotaRemaining": 0}


def test_path_segments_are_quoted() -> None:
    """An id can't become another path or a query."""
    paths: list[bytes] = []

    def note(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return httpx.Response(200)

    transport(note).send("GET", "companies", "a/../b?c=d", params={"page": 1})
    assert paths == [b"/companies/a%2F..%2Fb%3Fc%3Dd?page=1"]


@pytest.mark.parametrize(
    ("date", "changed_at", "read_at"),
    [
        # Codat's second is ours: within it, the moment of asking.
        ("Sun, 22 Nov 2026 12:00:00 GMT", "12:00:00.2500000", "11:59:58.0000000"),
        # Its clock is ahead or behind.
        ("Sun, 22 Nov 2026 12:00:30 GMT", "12:00:30.0000000", "12:00:28.0000000"),
        ("Sun, 22 Nov 2026 11:00:00 GMT", "11:00:00.0000000", "10:59:58.0000000"),
        # Further ahead than clocks may differ, or no time at all: ours.
        ("Sun, 22 Nov 2026 13:00:00 GMT", "12:00:00.2500000", "11:59:58.2500000"),
        ("yesterday", "12:00:00.2500000", "11:59:58.2500000"),
        ("", "12:00:00.2500000", "11:59:58.2500000"),
        ("Fri, 31 Dec 9999 23:59:59 -2300", "12:00:00.2500000", "11:59:58.2500000"),
        ("Mon, 1 Jan 99999999999999999999 00:00:00 GMT", "12:00:00.2500000", "11:59:58.2500000"),
        (None, "12:00:00.2500000", "11:59:58.2500000"),
    ],
)
def test_the_time_of_an_answer(date: str | None, changed_at: str, read_at: str) -> None:
    """GIVEN a request sent at 12:00:00.25 and answered 2 s later. A change is not older, and a read not newer."""
    headers = httpx.Headers({} if date is None else {"date": date})
    answer = Response(200, b"", headers, NOW + timedelta(milliseconds=250), timedelta(seconds=2))
    assert (answer.changed_at, answer.read_at) == (f"2026-11-22T{changed_at}Z", f"2026-11-22T{read_at}Z")


def test_a_fingerprint_reveals_no_key() -> None:
    """Different keys have different fingerprints, and the same key always has the same."""
    assert api_key_fingerprint("key") == api_key_fingerprint("key")
    assert api_key_fingerprint("key") != api_key_fingerprint("kez")
    assert len(api_key_fingerprint("key")) == 16


@pytest.mark.parametrize(("status", "status_code"), [(402, 429), (503, 500)])
def test_the_examples_in_codats_contract_are_recognised(status: int, status_code: int) -> None:
    """In two of them `statusCode` differs from the HTTP status."""
    assert failure(answering(status, error_document(status, statusCode=status_code))).is_answer
    assert not failure(answering(status, error_document(status, statusCode=status_code + 1))).is_answer
