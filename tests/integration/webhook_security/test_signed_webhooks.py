"""GIVEN an authentic webhook THEN the answer is 204, and it is stored, quarantined or acknowledged."""

import base64
import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given, strategies as st

from local.running import Stack
from tests.conftest import App
from tests.integration.webhook_security.posting import COMPANY_ID, post_webhook
from tests.intensity import intensity
from tests.payloads import CONNECTION_WEBHOOKS, signed, webhook_about

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def quarantined(app: App, webhook_id: str) -> list[dict[str, Any]]:
    return [item for item in app.items() if item.get("webhookId") == webhook_id]


def connections(app: App) -> list[dict[str, Any]]:
    return [item for item in app.items(f"COMPANY#{COMPANY_ID}") if item["sk"].startswith("CONNECTION#")]


def test_unparseable_text_is_quarantined_unchanged(app: App) -> None:
    """It is stored under the webhook's id, whether it came as base64 or not."""
    secret = app.stack.settings.webhook_secrets[0]
    sent: dict[str, bytes] = {}

    @intensity(60)
    @given(
        text=st.text(max_size=200),
        encoded=st.booleans(),
        webhook_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=99),
    )
    @example(text="", encoded=False, webhook_id="")
    @example(text="\x00", encoded=True, webhook_id="")
    def accepted(*, text: str, encoded: bool, webhook_id: str) -> None:
        body, webhook_id = text.encode(), f"{uuid4().hex}{webhook_id}"
        assert post_webhook(body, signed(body, secret, webhook_id=webhook_id), base64=encoded) == (204, None)
        sent[webhook_id] = body

    accepted()
    stored = {item["webhookId"]: base64.b64decode(item["body"]) for item in app.items("UNREADABLE#")}
    assert {webhook_id: stored.get(webhook_id) for webhook_id in sent} == sent


def test_bytes_that_are_not_utf8_are_refused(stack: Stack) -> None:
    """Codat signs JSON, so the signature can't be Codat's."""
    secret = stack.settings.webhook_secrets[0]

    @intensity(50)
    @given(st.binary(max_size=60).map(lambda raw: raw + b"\xff"))
    def refused(body: bytes) -> None:
        assert post_webhook(body, signed(b"", secret))[0] == 401

    refused()


def paths(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a JSON document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(descendant for name, value in inner for descendant in paths(value, (*path, name)))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the document with another value at that path."""
    if not path:
        return value
    document = deepcopy(document)
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return document


def test_a_webhook_with_an_arbitrary_value_is_stored_or_quarantined(app: App) -> None:
    """A change of Codat's format must not cause errors."""
    secret = app.stack.settings.webhook_secrets[0]

    @intensity(100)
    @given(st.sampled_from(CONNECTION_WEBHOOKS), json_values, st.data())
    def accepted(name: str, value: Any, data: st.DataObject) -> None:
        real = webhook_about(
            name,
            company_id=COMPANY_ID,
            connection_id=str(uuid4()),
            tags={"uid": "c-1"},
            generatedDate=datetime.now(UTC).isoformat(),
        )
        body = json.dumps(replaced(real, data.draw(st.sampled_from(paths(real))), value)).encode()
        assert post_webhook(body, signed(body, secret)) == (204, None)

    accepted()
    assert connections(app)


def test_a_webhook_with_a_very_long_value_is_accepted(app: App) -> None:
    secret = app.stack.settings.webhook_secrets[0]
    real = webhook_about("connection.failed", company_id=COMPANY_ID, connection_id=str(uuid4()), tags={"uid": "c-1"})
    for path in paths(real):
        body = json.dumps(replaced(real, path, "x" * 200_000)).encode()
        assert post_webhook(body, signed(body, secret)) == (204, None), path


@pytest.mark.parametrize("tags", [{"Dave" * 60_000: 1}, 7, ["Dave"], None])
def test_a_webhook_with_any_tags_is_stored(app: App, tags: Any) -> None:
    """Tags are not used: the company's item in the table determines the customer."""
    connection_id = str(uuid4())
    real = webhook_about("connection.connected", company_id=COMPANY_ID, connection_id=connection_id, tags={})
    body = json.dumps(replaced(real, ("payload", "referenceCompany", "tags"), tags)).encode()
    webhook_id = f"msg_{uuid4().hex}"
    assert post_webhook(body, signed(body, app.stack.settings.webhook_secrets[0], webhook_id=webhook_id)) == (204, None)
    assert connection_id in {item["connectionId"] for item in connections(app)}
    assert quarantined(app, webhook_id) == []


def test_the_cause_of_a_quarantine_does_not_quote_the_webhook(app: App) -> None:
    """The text may be personal data, and as long as the body: the cause has to fit into the same item."""
    webhook_id = f"msg_{uuid4().hex}"
    real = webhook_about("connection.connected", company_id=COMPANY_ID, connection_id=str(uuid4()))
    body = json.dumps(replaced(real, ("payload", "connection", "status"), "Dave" * 60_000)).encode()
    assert post_webhook(body, signed(body, app.stack.settings.webhook_secrets[0], webhook_id=webhook_id)) == (204, None)
    [item] = quarantined(app, webhook_id)
    assert item["cause"] == "connection.status: literal_error"
    assert base64.b64decode(item["body"]) == body


def test_the_largest_webhook_is_accepted(app: App) -> None:
    """Base64 makes it a third longer, and header names may be in any case."""
    secret = app.stack.settings.webhook_secrets[0]
    for encoded in (False, True):
        connection_id = str(uuid4())
        real = webhook_about("connection.connected", company_id=COMPANY_ID, connection_id=connection_id)
        real["padding"] = ""
        real["padding"] = "x" * (256 * 1024 - len(json.dumps(real)))
        body = json.dumps(real).encode()
        assert len(body) == 256 * 1024
        headers = {name.title(): value for name, value in signed(body, secret).items()}
        assert post_webhook(body, headers, base64=encoded) == (204, None)
        assert connection_id in {item["connectionId"] for item in connections(app)}


def test_a_webhook_id_of_the_maximal_length_is_accepted(app: App) -> None:
    """The id is a key in the table, and part of the timeline."""
    secret, webhook_id = app.stack.settings.webhook_secrets[0], f"msg_{uuid4().hex}".ljust(1024, "x")
    real = webhook_about("connection.connected", company_id=COMPANY_ID, connection_id=str(uuid4()))
    for body in (b"not json", json.dumps(real).encode()):
        assert post_webhook(body, signed(body, secret, webhook_id=webhook_id)) == (204, None)
    [item] = quarantined(app, webhook_id)
    assert base64.b64decode(item["body"]) == b"not json"
    entries = [item for item in app.items(f"COMPANY#{COMPANY_ID}") if item.get("eventId") == real["id"]]
    assert [entry["actorId"] for entry in entries] == [webhook_id]


@pytest.mark.parametrize("tags", [None, {"uid": "c-1"}])
def test_a_webhook_of_another_apps_company_is_acknowledged(app: App, tags: dict[str, str] | None) -> None:
    """GIVEN a company without a customer THEN nothing is stored, whichever tags it has."""
    before = app.items()
    real = webhook_about("connection.connected", company_id=str(uuid4()), connection_id=str(uuid4()), tags=tags)
    body = json.dumps(real).encode()
    assert post_webhook(body, signed(body, app.stack.settings.webhook_secrets[0])) == (204, None)
    assert app.items() == before
