"""Whatever is authentic gets a 204: stored, kept or acknowledged. Never 5xx, never refused."""

import base64
import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from hypothesis import example, given, strategies as st

from local.stack import Stack
from tests.conftest import App
from tests.door.knocking import knock
from tests.effort import effort
from tests.payloads import CONNECTION_WEBHOOKS, signed, webhook_about

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def kept(app: App, webhook_id: str) -> list[bytes]:
    return [base64.b64decode(item["body"]) for item in app.items("UNREADABLE#") if item["sk"] == webhook_id]


def test_any_text_is_kept_as_it_came(app: App) -> None:
    """Base64 or not, under the message's id: nothing authentic is lost."""
    secret = app.stack.settings.webhook_secrets[0]
    sent: dict[str, bytes] = {}

    @effort(60)
    @given(
        text=st.text(max_size=200),
        encoded=st.booleans(),
        webhook_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=99),
    )
    @example(text="", encoded=False, webhook_id="")
    @example(text="\x00", encoded=True, webhook_id="")
    def taken(*, text: str, encoded: bool, webhook_id: str) -> None:
        body, webhook_id = text.encode(), f"{uuid4().hex}{webhook_id}"
        assert knock(body, signed(body, secret, webhook_id=webhook_id), base64=encoded) == (204, None)
        sent[webhook_id] = body

    taken()
    found = {item["sk"]: base64.b64decode(item["body"]) for item in app.items("UNREADABLE#")}
    assert {webhook_id: found.get(webhook_id) for webhook_id in sent} == sent


def test_bytes_that_are_no_text_are_not_codats(stack: Stack) -> None:
    """Codat signs JSON; what can't be text was never signed by it, whatever the header says."""
    secret = stack.settings.webhook_secrets[0]

    @effort(50)
    @given(st.binary(max_size=60).map(lambda raw: raw + b"\xff"))
    def refused(body: bytes) -> None:
        assert knock(body, signed(b"", secret))[0] == 401

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
    """Understood, or kept: what a later Codat may send brings nothing down."""
    secret = app.stack.settings.webhook_secrets[0]

    @effort(100)
    @given(st.sampled_from(CONNECTION_WEBHOOKS), json_values, st.data())
    def taken(name: str, value: Any, data: st.DataObject) -> None:
        real = webhook_about(
            name,
            company_id=str(uuid4()),
            connection_id=str(uuid4()),
            tags={"uid": "c-1"},
            generatedDate=datetime.now(UTC).isoformat(),
        )
        body = json.dumps(bent(real, data.draw(st.sampled_from(places(real))), value)).encode()
        assert knock(body, signed(body, secret)) == (204, None)

    taken()


def test_a_real_webhook_with_a_field_of_any_length(app: App) -> None:
    """Up to what a webhook may hold."""
    secret = app.stack.settings.webhook_secrets[0]
    real = webhook_about("connection.failed", company_id=str(uuid4()), connection_id=str(uuid4()), tags={"uid": "c-1"})
    for path in places(real):
        body = json.dumps(bent(real, path, "x" * 200_000)).encode()
        assert knock(body, signed(body, secret)) == (204, None), path


def test_what_is_wrong_with_a_tag_is_told_without_the_tag(app: App) -> None:
    """Its key is the sender's text, and may be as long as the body: why it was not understood must fit beside it."""
    secret, webhook_id = app.stack.settings.webhook_secrets[0], f"msg_{uuid4().hex}"
    real = webhook_about("connection.connected", company_id="c", connection_id="n", tags={"Dave" * 60_000: 1})  # type: ignore[dict-item]  # on purpose
    body = json.dumps(real).encode()
    assert knock(body, signed(body, secret, webhook_id=webhook_id)) == (204, None)
    [item] = [item for item in app.items("UNREADABLE#") if item["sk"] == webhook_id]
    assert item["why"] == "referenceCompany.tags: string_type"


def test_the_largest_webhook_is_taken_however_it_is_written(app: App) -> None:
    """In base64 it is a third longer; and header names come in any case."""
    secret = app.stack.settings.webhook_secrets[0]
    about: dict[str, Any] = {"company_id": str(uuid4()), "connection_id": str(uuid4()), "tags": {"uid": "c-1"}}
    real = webhook_about("connection.connected", **about)
    real["padding"] = ""
    real["padding"] = "x" * (256 * 1024 - len(json.dumps(real)))
    body = json.dumps(real).encode()
    assert len(body) == 256 * 1024
    for encoded in (False, True):
        headers = {name.title(): value for name, value in signed(body, secret).items()}
        assert knock(body, headers, base64=encoded) == (204, None)
    assert [item for item in app.items(f"COMPANY#{about['company_id']}") if item["sk"].startswith("CONNECTION#")]


def test_a_webhook_id_as_long_as_it_may_be(app: App) -> None:
    """It becomes a key of the table."""
    secret, webhook_id = app.stack.settings.webhook_secrets[0], f"msg_{uuid4().hex}".ljust(1024, "x")
    for body in (
        b"not json",
        json.dumps(webhook_about("connection.connected", company_id="c", connection_id="n")).encode(),
    ):
        assert knock(body, signed(body, secret, webhook_id=webhook_id)) == (204, None)
    assert kept(app, webhook_id) == [b"not json"]
