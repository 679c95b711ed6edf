"""GIVEN a webhook without a valid signature THEN the answer is 401 and nothing is stored."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import assume, example, given, strategies as st
from standardwebhooks import Webhook

from local.running import Stack
from local.settings import new_webhook_secret
from tests.conftest import App
from tests.handlers import handler
from tests.integration.faults.context import Context
from tests.integration.webhook_security.posting import COMPANY_ID, post_webhook
from tests.intensity import intensity
from tests.payloads import api_event, signed, webhook_about

SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")

REAL = json.dumps(
    webhook_about("connection.connected", company_id=COMPANY_ID, connection_id=str(uuid4()), tags={"uid": "c-1"})
).encode()

bodies = st.just(REAL) | st.binary(max_size=300) | st.text(max_size=300).map(str.encode)
values = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")),
    st.text(alphabet="v1a,= +/", max_size=60),
    st.binary(max_size=40).map(lambda raw: "v1," + base64.b64encode(raw).decode()),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", " ", ",", "v1,", "v1", "v1,,", "v2,AAAA", "v1a,AAAA", "nan", "inf", "-0", "1e400", "٣", "\x00"]
    ),
    st.integers(1, 4000).map(lambda n: "v1,AAAA " * n),
)


@contextmanager
def table_unchanged(app: App) -> Iterator[None]:
    before = app.items()
    yield
    assert app.items() == before


def with_case(name: str, upper: list[bool]) -> str:
    return "".join(letter.upper() if up else letter for letter, up in zip(name, upper, strict=False))


def test_arbitrary_signature_headers_are_refused(app: App) -> None:
    """Each header is missing or has an arbitrary value; its name is in any case."""

    @intensity(250)
    @given(
        body=bodies,
        headers=st.dictionaries(st.sampled_from(SIGNED), values),
        upper=st.lists(st.booleans(), min_size=20, max_size=20),
        encoded=st.booleans(),
    )
    def refused(*, body: bytes, headers: dict[str, str], upper: list[bool], encoded: bool) -> None:
        status, problem = post_webhook(
            body, {with_case(name, upper): value for name, value in headers.items()}, base64=encoded
        )
        assert (status, problem["type"]) == (401, "not-authentic")

    with table_unchanged(app):
        refused()


def test_a_changed_signature_header_is_refused(app: App) -> None:
    """All other headers are as Codat sends them."""
    secret = app.stack.settings.webhook_secrets[0]

    @intensity(250)
    @given(st.sampled_from(SIGNED), values)
    @example("webhook-timestamp", "9" * 400)
    @example("webhook-timestamp", "1_7")
    @example("webhook-signature", "v1,\udcff")
    def refused(name: str, value: str) -> None:
        headers = signed(REAL, secret)
        assume(value != headers[name])
        status, problem = post_webhook(REAL, {**headers, name: value})
        assert (status, problem["type"]) == (401, "not-authentic")

    with table_unchanged(app):
        refused()


def test_a_changed_body_is_refused(app: App) -> None:
    """A changed byte is enough, and so is the same JSON with other white space."""
    headers = signed(REAL, app.stack.settings.webhook_secrets[0])

    @intensity(100)
    @given(position=st.integers(0, len(REAL) - 1), mask=st.integers(1, 255), encoded=st.booleans())
    def refused(*, position: int, mask: int, encoded: bool) -> None:
        changed = bytearray(REAL)
        changed[position] ^= mask
        assert post_webhook(bytes(changed), headers, base64=encoded)[0] == 401

    with table_unchanged(app):
        refused()
        for rewritten in (json.dumps(json.loads(REAL), indent=1).encode(), REAL + b"\n", b" " + REAL, b""):
            assert post_webhook(rewritten, headers)[0] == 401


def test_a_timestamp_more_than_five_minutes_off_is_refused(app: App) -> None:
    """The signature itself is valid."""
    secret = app.stack.settings.webhook_secrets[0]

    @intensity(100)
    @given(st.one_of(st.integers(-(10**9), -303), st.integers(303, 10**9)))
    def refused(seconds: int) -> None:
        headers = signed(REAL, secret, at=datetime.now(UTC) + timedelta(seconds=seconds))
        assert post_webhook(REAL, headers)[0] == 401

    with table_unchanged(app):
        refused()


def test_signatures_by_other_secrets_are_refused(app: App) -> None:
    """A header with up to 19 signatures is no exception."""

    @intensity(50)
    @given(st.integers(1, 19))
    def refused(count: int) -> None:
        headers = signed(REAL, new_webhook_secret())
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        others = (Webhook(new_webhook_secret()).sign(headers["webhook-id"], at, REAL.decode()) for _ in range(count))
        assert post_webhook(REAL, {**headers, "webhook-signature": " ".join(others)})[0] == 401

    with table_unchanged(app):
        refused()


@pytest.mark.parametrize("name", SIGNED)
def test_a_repeated_signature_header_is_refused(app: App, name: str) -> None:
    """API Gateway joins the values by a comma, which isn't what was signed."""
    headers = signed(REAL, app.stack.settings.webhook_secrets[0])
    with table_unchanged(app):
        for other in (headers[name], "x", ""):
            assert post_webhook(REAL, {**headers, name: f"{headers[name]},{other}"})[0] == 401
            assert post_webhook(REAL, {**headers, name: f"{other},{headers[name]}"})[0] == 401


@pytest.mark.parametrize("body", ["A", "AAA", "AA=A", "é", "%%%="])
def test_a_body_with_invalid_base64_is_refused(app: App, body: str) -> None:
    event = api_event("codat_webhook") | {"body": body, "isBase64Encoded": True}
    event["headers"] |= signed(body.encode(), app.stack.settings.webhook_secrets[0])
    with table_unchanged(app):
        for headers in (event["headers"], dict[str, str](), None):
            answer = handler("codat_webhook")(event | {"headers": headers}, Context())
            assert (answer["statusCode"], json.loads(answer["body"])["type"]) == (401, "not-authentic")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"webhook-signature": "v1," + "A" * 43 + "="}, "mismatch"),
        ({"webhook-timestamp": "1"}, "timestamp"),
        ({"webhook-signature": "v1"}, "malformed"),
        ({"webhook-id": ""}, "missing-header"),
        ({"webhook-id": "é" * 600}, "oversized-header"),
    ],
)
def test_refusals_are_counted_by_reason(
    app: App, capsys: pytest.CaptureFixture[str], change: dict[str, str], reason: str
) -> None:
    assert post_webhook(REAL, {**signed(REAL, app.stack.settings.webhook_secrets[0]), **change})[0] == 401
    counted = [line for line in capsys.readouterr().out.splitlines() if '"WebhookRefused"' in line]
    assert [json.loads(line)["reason"] for line in counted] == [reason]


@pytest.mark.parametrize("size", [256 * 1024 + 1, 5 * 1024 * 1024])
@pytest.mark.parametrize("encoded", [False, True])
def test_an_oversized_body_is_refused(stack: Stack, size: int, *, encoded: bool) -> None:
    """413, whether it is signed or not."""
    body = b"x" * size
    for headers in ({}, signed(body, stack.settings.webhook_secrets[0])):
        assert post_webhook(body, headers, base64=encoded)[0] == 413
