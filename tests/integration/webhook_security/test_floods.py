"""GIVEN many rejected webhooks THEN they cost one short log line and one metric per reason and minute."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import httpx
import pytest

from local.settings import new_webhook_secret
from shared.runtime.observability import logger
from shared.runtime.settings import read
from tests.conftest import App, Clock
from tests.handlers import handler
from tests.integration.faults.context import Context
from tests.integration.webhook_security.test_refused_webhooks import REAL
from tests.payloads import api_event, signed

FOREIGN = "198.51.100.7"
CODAT = ("4.159.114.108", "20.117.190.191")
MAX_LINE = 400
"""Characters of a short log line."""


class Output:
    """The lines that the functions write: logs through the logger's handler, metrics to standard output."""

    def __init__(self, log: StringIO, capsys: pytest.CaptureFixture[str]) -> None:
        self._log = log
        self._capsys = capsys

    def read(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the lines of logs and of metrics since the last call."""
        log = self._log.getvalue().splitlines()
        self._log.seek(0)
        self._log.truncate()
        metrics = self._capsys.readouterr().out.splitlines()
        return [json.loads(line) for line in log], [json.loads(line) for line in metrics]


@pytest.fixture
def output(app: App, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Output:
    app.stack.events()  # the changes of the fixtures are published
    capsys.readouterr()
    log = StringIO()
    [handler] = logger.handlers
    monkeypatch.setattr(handler, "stream", log)
    return Output(log, capsys)


def assert_refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["type"]) == (401, "not-authentic")


def test_a_flood_costs_one_log_line_and_one_metric_a_minute(app: App, clock: Clock, output: Output) -> None:
    """The number of the minute's other webhooks is part of the next line."""
    for _ in range(1000):
        assert_refused(app.http.post("/webhooks/codat", json={}))
    [line], [metric] = output.read()
    assert (line["message"], line["reason"], line["count"]) == ("webhooks refused", "missing-header", 1)
    assert len(json.dumps(line)) < MAX_LINE
    assert (metric["reason"], metric["WebhookRefused"]) == ("missing-header", [1])

    clock.advance(50)
    assert_refused(app.http.post("/webhooks/codat", json={}))
    assert output.read() == ([], [])

    clock.advance(60)
    assert_refused(app.http.post("/webhooks/codat", json={}))
    [line], [metric] = output.read()
    assert line["count"] == 1001
    assert metric["WebhookRefused"] == [1001]


def test_each_reason_is_reported_by_itself(app: App, clock: Clock, output: Output) -> None:
    """A flood of unsigned webhooks does not hide a wrong signing secret."""
    for _ in range(20):
        assert_refused(app.http.post("/webhooks/codat", json={}))
    for _ in range(3):
        assert_refused(app.deliver(REAL, secret=new_webhook_secret()))
    assert app.http.post("/webhooks/codat", content=b"x" * 300_000).status_code == 413
    log, metrics = output.read()
    assert [line["reason"] for line in log] == ["missing-header", "mismatch", "oversized-body"]
    assert [(metric["reason"], metric["WebhookRefused"]) for metric in metrics] == [
        ("missing-header", [1]),
        ("mismatch", [1]),
        ("oversized-body", [1]),
    ]

    clock.advance(61)
    assert_refused(app.deliver(REAL, secret=new_webhook_secret()))
    _, [metric] = output.read()
    assert (metric["reason"], metric["WebhookRefused"]) == ("mismatch", [3])


def test_accepted_webhooks_are_logged_as_before(app: App, output: Output) -> None:
    """GIVEN rejected webhooks of the same minute."""
    assert_refused(app.http.post("/webhooks/codat", json={}))
    output.read()
    assert app.deliver(REAL).status_code == 204
    log, _ = output.read()
    assert [line["status"] for line in log if line["message"] == "answered"] == [204]


# Ranges of source addresses.


@pytest.fixture
def codats_ranges(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Allow the two addresses that Codat documents."""
    monkeypatch.setenv("WEBHOOK_SOURCE_RANGES", ",".join(f"{address}/32" for address in CODAT))
    read.cache_clear()
    yield
    read.cache_clear()


def post_from(address: str, headers: dict[str, str], body: str = REAL.decode(), **fields: Any) -> tuple[int, Any]:
    event = api_event("codat_webhook") | {"body": body, "headers": headers, **fields}
    event["requestContext"]["http"]["sourceIp"] = address
    answer = handler("codat_webhook")(event, Context())
    return answer["statusCode"], json.loads(answer["body"] or "null")


@pytest.mark.usefixtures("codats_ranges")
def test_a_foreign_address_is_refused(app: App, output: Output) -> None:
    """Its signature is valid, and no header can name another address."""
    for forwarded in ({}, {"x-forwarded-for": CODAT[0], "forwarded": f"for={CODAT[0]}"}):
        headers = signed(REAL, app.stack.settings.webhook_secrets[0]) | forwarded
        status, problem = post_from(FOREIGN, headers)
        assert (status, problem["type"]) == (401, "not-authentic")
    for address in ("::ffff:4.159.114.108", "2001:db8::1"):
        assert post_from(address, headers)[0] == 401
    [line], [metric] = output.read()
    assert (line["reason"], metric["reason"], metric["WebhookRefused"]) == ("source", "source", [1])


@pytest.mark.usefixtures("codats_ranges")
@pytest.mark.parametrize("address", CODAT)
def test_codats_addresses_still_need_a_signature(app: App, address: str) -> None:
    headers = signed(REAL, app.stack.settings.webhook_secrets[0])
    assert post_from(address, headers)[0] == 204
    assert post_from(address, headers | {"webhook-signature": "v1,AAAA"})[0] == 401


@pytest.mark.usefixtures("app", "codats_ranges")
def test_the_address_is_checked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body is neither measured nor decoded, and no secret is read."""
    monkeypatch.setattr("shared.http.router.b64decode", lambda _: pytest.fail("decoded"))
    monkeypatch.setattr("shared.codat.signature.WebhookVerifier.verify", lambda *_: pytest.fail("verified"))
    for body in ("%%%", "x" * 1_000_000):
        assert post_from(FOREIGN, {}, body, isBase64Encoded=True)[0] == 401


def test_without_ranges_every_address_may_send(app: App) -> None:
    """GIVEN the default."""
    assert post_from(FOREIGN, signed(REAL, app.stack.settings.webhook_secrets[0]))[0] == 204
