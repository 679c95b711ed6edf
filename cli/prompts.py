"""Prompt for the two secrets that the operator copies from Codat's portal. They are never shown."""

import base64
import binascii
import re
from collections.abc import Callable

from cli.errors import OperatorError

API_KEYS_PAGE = "https://app.codat.io/developers/api-keys"
CONSUMERS_PAGE = "https://app.codat.io/monitor/events, Settings > Webhooks > Events > Configure consumer"

Prompt = Callable[[str], str]

_PREFIX = "whsec_"
_MIN_KEY_BYTES = 24
"""The minimum of the Standard Webhooks specification. A shorter secret was not copied completely."""


def ask_api_key(prompt: Prompt) -> str:
    key = prompt("Codat API key (not shown): ").strip()
    if not re.fullmatch(r"[!-~]+", key):
        raise OperatorError(f"That is not an API key. Copy the key, not the `Basic …` header: {API_KEYS_PAGE}")
    return key


def ask_signing_secret(prompt: Prompt) -> str:
    secret = prompt("Signing secret (not shown): ").strip()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) < _MIN_KEY_BYTES:
        raise OperatorError(f"That is not a signing secret. Copy all of it: it starts with {_PREFIX}. Nothing changed.")
    return secret
