"""What the bodies and parameters of requests may hold, as Codat's OpenAPI files say."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from codat_simulator.records import Consumer
from codat_simulator.refusals import api_key_name_too_long, not_valid
from codat_simulator.state import CompanyChange

MOST_TAGS = 10
LONGEST_TAG_KEY = 27
LONGEST_TAG_VALUE = 100
LARGEST_PAGE = 5_000
DEFAULT_PAGE = 100
MAX_API_KEY_NAME = 50
_LONGEST_COMPANY_TAG = 128

# Characters that Codat removes from a company's name without a word.
_FORBIDDEN = re.compile(r"[^A-Za-z0-9\s\-',&@.,?!]")


@dataclass(frozen=True)
class ApiRequest:
    """`params` are the path's, `query` the parameters after the question mark."""

    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    def json_object(self) -> dict[str, Any]:
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError):
            raise not_valid("body", "The body is not JSON.") from None
        if not isinstance(body, dict):
            raise not_valid("body", "The body is not an object.")
        return body


def strip_name(name: str) -> str:
    return _FORBIDDEN.sub("", name)


def whole_company(request: ApiRequest) -> CompanyChange:
    """For POST and PUT: what isn't said is empty."""
    change = company_change(request)
    if change.name is None:
        raise not_valid("name", "A company needs a name.")
    return CompanyChange(name=change.name, description=change.description or "", tags=change.tags or {})


def company_change(request: ApiRequest) -> CompanyChange:
    """For PATCH: null is not said, but an empty `tags` object erases the tags."""
    body = request.json_object()
    name = _text(body, "name")
    if name is not None:
        name = strip_name(name)
        if not name.strip():
            raise not_valid("name", "The name has none of the characters that are allowed.")
    return CompanyChange(name=name, description=_text(body, "description"), tags=_tags(body.get("tags")))


def platform_key(request: ApiRequest) -> str:
    key = _text(request.json_object(), "platformKey")
    if key is None or not re.fullmatch("[a-z]{4}", key):
        raise not_valid("platformKey", "A platform key has four lower-case letters.")
    return key


def is_unlink(request: ApiRequest) -> None:
    """The only status that a connection can be given is Unlinked."""
    if request.json_object().get("status") != "Unlinked":
        raise not_valid("status", "The status of a connection can only be set to Unlinked.")


def api_key_name(request: ApiRequest) -> str | None:
    """Return the name for a new API key. The name and the whole body are optional."""
    name = _text(request.json_object(), "name") if request.body else None
    if name is not None and len(name) > MAX_API_KEY_NAME:
        raise api_key_name_too_long(MAX_API_KEY_NAME)
    return name


def consumer(request: ApiRequest) -> Consumer:
    body = request.json_object()
    url = _text(body, "url")
    if url is None or urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise not_valid("url", "The URL of a webhook consumer is an http(s) address.")
    tags = _texts(body, "companyTags")
    if len(tags) > MOST_TAGS or any(len(t) > _LONGEST_COMPANY_TAG or ":" not in t for t in tags):
        raise not_valid("companyTags", "Company tags are written tagKey:tagValue, ten at most.")
    disabled = body.get("disabled") or False
    if not isinstance(disabled, bool):
        raise not_valid("disabled", "It is true or false.")
    return Consumer(
        id=str(uuid4()),
        url=url,
        event_types=_texts(body, "eventTypes"),
        company_tags=tags,
        disabled=disabled,
    )


@dataclass(frozen=True)
class Page:
    number: int
    size: int

    @classmethod
    def of(cls, request: ApiRequest) -> "Page":
        number = _whole_number(request, "page", 1)
        size = _whole_number(request, "pageSize", DEFAULT_PAGE)
        if size > LARGEST_PAGE:
            raise not_valid("pageSize", f"A page has at most {LARGEST_PAGE} records.")
        return cls(number, size)


def _whole_number(request: ApiRequest, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise not_valid(name, "It is a whole number from 1.")
    return int(text)


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise not_valid(name, "It is not text.")
    return value


def _texts(body: dict[str, Any], name: str) -> tuple[str, ...]:
    values = body.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise not_valid(name, "It is not a list of texts.")
    return tuple(values)


def _tags(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise not_valid("tags", "Tags are an object of texts.")
    if len(value) > MOST_TAGS:
        raise not_valid("tags", f"A company has at most {MOST_TAGS} tags.")
    for key, text in value.items():
        if not 1 <= len(key) <= LONGEST_TAG_KEY or len(text) > LONGEST_TAG_VALUE:
            raise not_valid(
                "tags", f"A key has 1 to {LONGEST_TAG_KEY} characters, a value at most {LONGEST_TAG_VALUE}."
            )
    return value
