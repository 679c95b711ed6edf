"""What `make run` and `make demo` take from the environment."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = 3000
_PREFIX = "whsec_"


class SettingsError(Exception):
    """A variable holds something that can't be used; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """
    codat_base_url: None starts the simulated Codat.
    webhook_secrets: the first one signs what the simulated Codat sends.
    dynamodb_endpoint: None is moto.
    """

    codat_base_url: str | None = None
    codat_api_key: str
    webhook_secrets: tuple[str, ...]
    own_webhook_secrets: bool = False
    dynamodb_endpoint: str | None = None
    adopt_strays: str | None = None
    port: int = DEFAULT_PORT

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> LocalSettings:
        """Raises SettingsError. An empty variable counts as one that isn't set."""

        def given(name: str) -> str | None:
            return environment.get(name, "").strip() or None

        base_url = given("CODAT_BASE_URL")
        api_key = given("CODAT_API_KEY")
        if base_url and not api_key:
            raise SettingsError("CODAT_BASE_URL is set, so CODAT_API_KEY must be too: the key for that Codat")
        own_secrets = _webhook_secrets(given("CODAT_WEBHOOK_SECRETS"))
        return cls(
            codat_base_url=_url("CODAT_BASE_URL", base_url),
            codat_api_key=api_key or f"local-{secrets.token_hex(16)}",
            webhook_secrets=own_secrets or (new_webhook_secret(),),
            own_webhook_secrets=bool(own_secrets),
            dynamodb_endpoint=_url("AWS_ENDPOINT_URL_DYNAMODB", given("AWS_ENDPOINT_URL_DYNAMODB")),
            adopt_strays=_boolean("ADOPT_STRAYS", given("ADOPT_STRAYS")),
            port=_port(given("PORT")),
        )


def new_webhook_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(24)).decode("ascii")


def _webhook_secrets(text: str | None) -> tuple[str, ...]:
    given = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    for secret in given:
        try:
            valid = secret.startswith(_PREFIX) and base64.b64decode(secret[len(_PREFIX) :], validate=True)
        except binascii.Error:
            valid = False
        if not valid:
            raise SettingsError(
                f"CODAT_WEBHOOK_SECRETS must be {_PREFIX} and base64, comma-separated; one of them is not"
            )
    return given


def _url(name: str, text: str | None) -> str | None:
    if text is None:
        return None
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"{name} must be an http or https URL")
    return text.rstrip("/")


def _boolean(name: str, text: str | None) -> str | None:
    if text is None:
        return None
    if text.lower() in {"1", "true", "yes", "on"}:
        return "true"
    if text.lower() in {"0", "false", "no", "off"}:
        return "false"
    raise SettingsError(f"{name} must be true or false")


def _port(text: str | None) -> int:
    if text is None:
        return DEFAULT_PORT
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) <= 65535:  # noqa: PLR2004 - TCP's range
        raise SettingsError("PORT must be a number from 0 to 65535; 0 takes a free one")
    return int(text)
