"""An authentic webhook is answered 204: stored, quarantined or acknowledged. Not 5xx, and not refused."""

import base64
import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given, strategies as st

from local.stack import Stack
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
    return [item for item in app.items("UNREADABLE#") if item["sk"] == webhook_id]


def connections(app: App) -> list[dict[str, Any]]:
    return [item for item in app.items(f"COMPANY#{COMPANY_ID}") if item["sk"].startswith("CONNECTION#")]


def test_any_text_is_quarantined_as_it_came(app: App) -> None:
    """Base64 or not, under the message's id: nothing authentic is lost."""
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
    def taken(*, text: str, encoded: bool, webhook_id: str) -> None:
        body, webhook_id = text.encode(), f"{uuid4().hex}{webhook_id}"
        assert post_webhook(body, signed(body, secret, webhook_id=webhook_id), base64=encoded) == (204, None)
        sent[webhook_id] = body

    taken()
    found = {item["sk"]: base64.b64decode(item["body"]) for item in app.items("UNREADABLE#")}
    assert {webhook_id: found.get(webhook_id) for webhook_id in sent} == sent


def test_bytes_that_are_no_text_are_not_codats(stack: Stack) -> None:
    """Codat signs JSON; what can't be text was never signed by it, whatever the header says."""
    secret = stack.settings.webhook_secrets[0]

    @intensity(50)
    @given(st.binary(max_size=60).map(lambda raw: raw + b"\xff"))
    def refused(body: bytes) -> None:
        assert post_webhook(body, signed(b"", secret))[0] == 401

    refused()


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(place for name, value in inner for place in places(value, (*path, name)))]


def bent(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with another value in that place."""
    if not path:
        return value
    document = deepcopy(document)
    parent = document
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return document


def test_a_real_webhook_with_anything_in_one_place(app: App) -> None:
    """GIVEN a company of ours THEN its webhook is stored or quarantined: a change at Codat brings nothing down."""
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
        body = json.dumps(bent(real, data.draw(st.sampled_from(places(real))), value)).encode()
        assert post_webhook(body, signed(body, secret)) == (204, None)

    accepted()
    assert connections(app)


def test_a_real_webhook_with_a_field_of_any_length(app: App) -> None:
    """Up to what a webhook may hold."""
    secret = app.stack.settings.webhook_secrets[0]
    real = webhook_about("connection.failed", company_id=COMPANY_ID, connection_id=str(uuid4()), tags={"uid": "c-1"})
    for path in places(real):
        body = json.dumps(bent(real, path, "x" * 200_000)).encode()
        assert post_webhook(body, signed(body, secret)) == (204, None), path


@pytest.mark.parametrize("tags", [{"Dave" * 60_000: 1}, 7, ["Dave"], None])
def test_a_webhook_with_any_tags_is_stored(app: App, tags: Any) -> None:
    """Tags are the sender's text, and no part of what a webhook changes: the company's pointer decides whose it is."""
    connection_id = str(uuid4())
    real = webhook_about("connection.connected", company_id=COMPANY_ID, connection_id=connection_id, tags={})
    body = json.dumps(bent(real, ("payload", "referenceCompany", "tags"), tags)).encode()
    webhook_id = f"msg_{uuid4().hex}"
    assert post_webhook(body, signed(body, app.stack.settings.webhook_secrets[0], webhook_id=webhook_id)) == (204, None)
    assert connection_id in {item["connectionId"] for item in connections(app)}
    assert quarantined(app, webhook_id) == []


def test_what_is_wrong_with_a_webhook_is_said_without_its_text(app: App) -> None:
    """The sender's text may be personal data, and as long as the body: the cause has to fit beside it."""
    webhook_id = f"msg_{uuid4().hex}"
    real = webhook_about("connection.connected", company_id=str(uuid4()), connection_id=str(uuid4()))
    body = json.dumps(bent(real, ("payload", "connection", "status"), "Dave" * 60_000)).encode()
    assert post_webhook(body, signed(body, app.stack.settings.webhook_secrets[0], webhook_id=webhook_id)) == (204, None)
    [item] = quarantined(app, webhook_id)
    assert item["cause"] == "connection.status: literal_error"
    assert base64.b64decode(item["body"]) == body


def test_the_largest_webhook_is_accepted_however_it_is_written(app: App) -> None:
    """In base64 it is a third longer; and header names come in any case."""
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


def test_a_webhook_id_of_the_maximal_length(app: App) -> None:
    """It becomes a key of the table, and part of the timeline."""
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
    """GIVEN a company without a customer here THEN nothing is stored, whatever its tags say."""
    before = app.items()
    real = webhook_about("connection.connected", company_id=str(uuid4()), connection_id=str(uuid4()), tags=tags)
    body = json.dumps(real).encode()
    assert post_webhook(body, signed(body, app.stack.settings.webhook_secrets[0])) == (204, None)
    assert app.items() == before
