"""An answer before it is put on the wire: what the idempotency cache remembers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import responses
from typing import Any
from uuid import uuid4

from codat_simulator.refusals import Refusal


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def success(body: Any, status: int = 200) -> Answer:
    return Answer(status, as_json(body), {"Content-Type": "application/json; charset=utf-8"})


def failure(refusal: Refusal, *, with_correlation_id: bool = True) -> Answer:
    """Return Codat's ErrorMessage, with a new correlation id unless it is left out."""
    body: dict[str, Any] = {
        "statusCode": refusal.status,
        "service": refusal.service,
        "error": refusal.error,
        "correlationId": uuid4().hex,
        "canBeRetried": "Unknown",
        "detailedErrorCode": 0,
    }
    if not with_correlation_id:
        del body["correlationId"]
    if refusal.validation is not None:
        body["validation"] = refusal.validation
    answer = success(body, refusal.status)
    return Answer(answer.status, answer.body, {**answer.headers, **refusal.headers})


def failure_page(refusal: Refusal) -> Answer:
    """Return the HTML page with which a gateway in front of Codat reports a failure."""
    title = f"{refusal.status} {responses.get(refusal.status, 'Error')}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n"
        f"<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(refusal.status, page.encode(), {"Content-Type": "text/html", **refusal.headers})


def as_json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
