"""The two things that only a person can copy from Codat's portal. Never shown, never an argument."""

import base64
import binascii
import re
from collections.abc import Callable

from cli.errors import OperatorError

API_KEYS = "https://app.codat.io/developers/api-keys"
CONSUMERS = "https://app.codat.io/monitor/events, Settings > Webhooks > Events > Configure consumer"

Ask = Callable[[str], str]

_PREFIX = "whsec_"
_LEAST_BYTES = 24
"""As the Standard Webhooks specification has it: one that is shorter was not copied whole."""


def api_key(ask: Ask) -> str:
    key = ask("Codat API key (not shown): ").strip()
    if not re.fullmatch(r"[!-~]+", key):
        raise OperatorError(f"That is no API key. Copy the key itself, not the `Basic …` header: {API_KEYS}")
    return key


def signing_secret(ask: Ask) -> str:
    secret = ask("Signing secret (not shown): ").strip()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) < _LEAST_BYTES:
        raise OperatorError(f"That is no signing secret: it is {_PREFIX} and base64, copied whole. Nothing was stored.")
    return secret
