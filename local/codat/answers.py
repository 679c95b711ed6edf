"""An answer before it is put on the wire: what the idempotency cache remembers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from local.codat.refusals import Refusal


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def success(body: Any, status: int = 200) -> Answer:
    return Answer(status, as_json(body), {"Content-Type": "application/json; charset=utf-8"})


def failure(refusal: Refusal) -> Answer:
    """Codat's ErrorMessage, under a correlation id of its own."""
    body: dict[str, Any] = {
        "statusCode": refusal.status,
        "service": refusal.service,
        "error": refusal.error,
        "correlationId": uuid4().hex,
        "canBeRetried": "Unknown",
        "detailedErrorCode": 0,
    }
    if refusal.validation is not None:
        body["validation"] = refusal.validation
    answer = success(body, refusal.status)
    return Answer(answer.status, answer.body, {**answer.headers, **refusal.headers})


def as_json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
