"""Customer ids in log lines. They may be e-mail addresses, so a deployment can log an HMAC of each instead."""

import hmac
import json
import os
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from shared.domain.errors import SecretsUnavailable
from shared.runtime.secrets import secrets

_TEXTS = ("detail", "cause", "exception")
"""The keys of a log line whose text may contain a customer id."""
_DIGITS = 16

invocation_customers: ContextVar[frozenset[str]] = ContextVar("invocation_customers", default=frozenset())
"""The customers that this invocation is about."""


def about_customers(customer_ids: Iterable[str]) -> None:
    """Name customers whose ids the following log lines may contain."""
    invocation_customers.set(invocation_customers.get() | set(customer_ids))


def are_hashed() -> bool:
    # Not from the typed settings: their own error has to be logged.
    return os.environ.get("HASH_IDS_IN_LOGS") == "true"


def serialize(line: Mapping[str, Any]) -> str:
    """Return a log line as JSON, with hashed customer ids if the deployment wants that."""
    if are_hashed():
        line = {key: _hashed(key, value) for key, value in line.items()}
    return json.dumps(line, default=str, separators=(",", ":"), ensure_ascii=False)


def _hashed(key: str, value: Any) -> Any:
    if key == "customer_id" and value:
        return digest(str(value))
    if key in _TEXTS:
        # The longest first, because an id may contain another one.
        for customer_id in sorted(invocation_customers.get(), key=len, reverse=True):
            value = re.sub(rf"(?<![\w-]){re.escape(customer_id)}(?![\w-])", digest(customer_id), str(value))
    return value


def digest(customer_id: str) -> str:
    """Return the start of the HMAC-SHA256 under the secret's `logKey`; `hidden` if that is missing or can't be read."""
    try:
        key = secrets().log_key()
    except SecretsUnavailable:
        key = ""
    return keyed_digest(key, customer_id) if key else "hidden"


def keyed_digest(key: str, customer_id: str) -> str:
    return hmac.new(key.encode(), customer_id.encode(), "sha256").hexdigest()[:_DIGITS]
