"""Verifying a webhook's signature over the raw bytes, with any of the active secrets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from standardwebhooks import Webhook, WebhookVerificationError

from shared.domain.errors import NotAuthentic

MAX_HEADER_BYTES = 1024
"""DynamoDB's limit for the id as a sort key. A real id has about 30, and two signatures during a rotation 95."""


@dataclass(frozen=True, slots=True)
class WebhookVerifier:
    secrets: Callable[[], Sequence[str]]
    refreshed_secrets: Callable[[], Sequence[str]]

    def verify(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Return the message's id. Raises NotAuthentic and SecretsUnavailable."""
        try:
            return verify(body, headers, self.secrets())
        except NotAuthentic as rejection:
            if rejection.reason not in {"mismatch", "no-secret"}:
                raise
            # The secret may have been rotated since it was read.
            return verify(body, headers, self.refreshed_secrets())


def verify(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> str:
    """Return the message's id (`webhook-id`); header names in lower case.

    Raises NotAuthentic unless one of `secrets` signed the body.
    See https://docs.codat.io/using-the-api/webhooks/webhook-security.
    """
    verifiers = [verifier for secret in secrets if (verifier := _verifier(secret))]
    if not verifiers:
        raise NotAuthentic("no-secret")
    signed = {name: headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    if not all(signed.values()):
        raise NotAuthentic("missing-header")
    if any(len(value.encode(errors="replace")) > MAX_HEADER_BYTES for value in signed.values()):
        raise NotAuthentic("oversized-header")
    reasons = [reason for verifier in verifiers if (reason := _rejection(verifier, body, signed))]
    if len(reasons) == len(verifiers):
        raise NotAuthentic(reasons[0])
    return signed["webhook-id"]


def _verifier(secret: str) -> Webhook | None:
    """Return None for an invalid secret, so that the others are still tried."""
    try:
        return Webhook(secret)
    except Exception:  # noqa: BLE001  # base64's errors, and the library's own
        return None


def _rejection(verifier: Webhook, body: bytes, signed: dict[str, str]) -> str | None:
    try:
        verifier.verify(body, signed, json_parse=False)
    except WebhookVerificationError as error:
        return "mismatch" if "signature found" in str(error) else "timestamp"
    except Exception:  # noqa: BLE001  # a malformed header raises ValueError, binascii.Error, UnicodeError, …
        return "malformed"
    return None
