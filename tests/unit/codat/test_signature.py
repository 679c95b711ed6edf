"""The signature of webhooks: Standard Webhooks, HMAC-SHA256 over `id.timestamp.body`."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from shared.codat.signature import MAX_HEADER_BYTES, WebhookVerifier, verify
from shared.domain.errors import NotAuthentic
from tests.payloads import signed

BODY = b'{"id": "1"}'
OLD, NEW, FOREIGN = (f"whsec_{b64encode(name * 24).decode()}" for name in (b"o", b"n", b"f"))


class Secrets:
    """The signing secrets: first the cached ones, after a refresh the current ones."""

    def __init__(self, cached: Sequence[str], current: Sequence[str]) -> None:
        self._secrets, self._current = cached, current
        self.refreshes = 0

    def webhook_secrets(self) -> Sequence[str]:
        return self._secrets

    def refresh_webhook_secrets(self) -> Sequence[str]:
        self.refreshes += 1
        self._secrets = self._current
        return self._secrets


def verifier(secrets: Secrets) -> WebhookVerifier:
    return WebhookVerifier(secrets.webhook_secrets, secrets.refresh_webhook_secrets)


def rejection(body: bytes, headers: dict[str, str], *secrets: str) -> str:
    with pytest.raises(NotAuthentic) as raised:
        verify(body, headers, secrets)
    return raised.value.reason


@pytest.mark.parametrize("secrets", [[NEW], [OLD, NEW], [NEW, OLD], ["not base64!", NEW]])
def test_one_matching_secret_is_enough(secrets: list[str]) -> None:
    """Also beside a misspelt secret."""
    assert verify(BODY, signed(BODY, NEW, webhook_id="msg_1"), secrets) == "msg_1"


def test_one_matching_signature_is_enough() -> None:
    """Codat signs with both secrets during a rotation."""
    headers = signed(BODY, NEW, webhook_id="msg_1")
    foreign = signed(BODY, FOREIGN, webhook_id="msg_1")
    headers["webhook-signature"] = f"{foreign['webhook-signature']} {headers['webhook-signature']}"
    assert verify(BODY, headers, [NEW]) == "msg_1"


def test_the_signature_covers_body_id_and_time() -> None:
    headers = signed(BODY, NEW)
    assert rejection(BODY + b" ", headers, NEW) == "mismatch"
    assert rejection(BODY, {**headers, "webhook-id": "msg_2"}, NEW) == "mismatch"
    earlier = str(int(headers["webhook-timestamp"]) - 1)
    assert rejection(BODY, {**headers, "webhook-timestamp": earlier}, NEW) == "mismatch"
    assert rejection(BODY, headers, OLD, FOREIGN) == "mismatch"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_webhook_must_be_recent(minutes: int) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    assert rejection(BODY, signed(BODY, NEW, at=at), NEW) == "timestamp"


def test_without_a_valid_secret_every_webhook_is_rejected() -> None:
    headers = signed(BODY, NEW)
    assert rejection(BODY, headers) == "no-secret"
    assert rejection(BODY, headers, "not base64!") == "no-secret"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_required_and_limited(name: str) -> None:
    headers = signed(BODY, NEW)
    assert rejection(BODY, {**headers, name: ""}, NEW) == "missing-header"
    assert rejection(BODY, {key: value for key, value in headers.items() if key != name}, NEW) == "missing-header"
    assert rejection(BODY, {**headers, name: "x" * (MAX_HEADER_BYTES + 1)}, NEW) == "oversized-header"


@pytest.mark.parametrize("signature", ["no comma", "v1,not base64", "v1,\udcff"])
def test_a_malformed_signature_is_rejected(signature: str) -> None:
    assert rejection(BODY, {**signed(BODY, NEW), "webhook-signature": signature}, NEW) in {"malformed", "mismatch"}


def test_a_signature_of_another_version_is_ignored() -> None:
    headers = signed(BODY, NEW)
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v2,")
    assert rejection(BODY, headers, NEW) == "mismatch"


@pytest.mark.parametrize("cached", [[], [OLD]])
def test_the_secrets_are_read_again_if_none_matches(cached: list[str]) -> None:
    """They may have been rotated since they were cached."""
    secrets = Secrets(cached, [NEW])
    assert verifier(secrets).verify(BODY, signed(BODY, NEW, webhook_id="msg_1")) == "msg_1"
    assert secrets.refreshes == 1
    with pytest.raises(NotAuthentic):
        verifier(secrets).verify(BODY, signed(BODY, FOREIGN))


def test_the_secrets_are_not_read_again_for_other_errors() -> None:
    secrets = Secrets([NEW], [NEW])
    for headers in ({}, signed(BODY, NEW, at=datetime.now(UTC) - timedelta(hours=1))):
        with pytest.raises(NotAuthentic):
            verifier(secrets).verify(BODY, headers)
    assert secrets.refreshes == 0
