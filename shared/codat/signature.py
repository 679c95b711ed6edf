"""Whether a webhook comes from Codat: its signature over the raw bytes, by any of the active secrets."""

from collections.abc import Mapping, Sequence

from standardwebhooks import Webhook, WebhookVerificationError

from shared.domain.errors import NotAuthentic

MAX_HEADER_BYTES = 1024
"""A real id has about 30, a signature 47; during a rotation there are two signatures. The id may become a key of the
table, which takes this many.
"""


def verify(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> str:
    """The message's id (`webhook-id`), where one of `secrets` vouches for the body; header names in lower case.

    Raises NotAuthentic in every other case, with a reason for the metric: `no-secret`, `missing-header`,
    `oversized-header`, `timestamp`, `malformed`, `mismatch`.
    """
    verifiers = [verifier for secret in secrets if (verifier := _verifier(secret))]
    if not verifiers:
        raise NotAuthentic("no-secret")
    signed = {name: headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    if not all(signed.values()):
        raise NotAuthentic("missing-header")
    if any(len(value.encode(errors="replace")) > MAX_HEADER_BYTES for value in signed.values()):
        raise NotAuthentic("oversized-header")
    refusals = [refusal for verifier in verifiers if (refusal := _refusal(verifier, body, signed))]
    if len(refusals) == len(verifiers):
        raise NotAuthentic(refusals[0])
    return signed["webhook-id"]


def _verifier(secret: str) -> Webhook | None:
    """None for what is no secret: one misspelt entry must not stop the others from being tried."""
    try:
        return Webhook(secret)
    except Exception:  # noqa: BLE001  # base64's errors, and the library's own
        return None


def _refusal(verifier: Webhook, body: bytes, signed: dict[str, str]) -> str | None:
    try:
        verifier.verify(body, signed, json_parse=False)
    except WebhookVerificationError as error:
        return "mismatch" if "signature found" in str(error) else "timestamp"
    except Exception:  # noqa: BLE001  # a malformed header raises ValueError, binascii.Error, UnicodeError, …: all mean no
        return "malformed"
    return None
