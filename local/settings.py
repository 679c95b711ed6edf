"""Settings of `make run` and `make demo`, from environment variables."""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, AliasChoices, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECRET_PREFIX = "whsec_"
_EXPECTED = {
    "CODAT_BASE_URL": "an http or https URL",
    "CODAT_WEBHOOK_SECRETS": f"{_SECRET_PREFIX} and base64, comma-separated",
    "AWS_ENDPOINT_URL_DYNAMODB": "an http or https URL",
    "ADOPT_ORPHANS": "true or false",
    "ADOPT_STRAYS": "true or false",
    "APP_WEBHOOK_URL": "an http or https URL",
    "APP_WEBHOOK_KEY": "printable ASCII characters without spaces",
    "PLATFORM_KEYS": "keys of four letters, comma-separated",
    "APP_NAME": "1 to 60 characters without < and >",
    "APP_ACCENT_COLOR": "a color such as #1f4fd8",
    "APP_LOGO_URL": "an https URL or a data URI of an image",
    "SHOW_PLATFORM_LOGOS": "true or false",
    "SOURCE_TYPES": "kinds such as Accounting, comma-separated",
    "ONE_TIME_LINKS": "true or false",
    "PORT": "a number from 0 to 65534; 0 is any free port",
}


class SettingsError(Exception):
    """A variable is invalid; the message names it and doesn't contain its value."""


def new_webhook_secret() -> str:
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(24)).decode("ascii")


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _check_secret(secret: str) -> str:
    encoded = secret.removeprefix(_SECRET_PREFIX)
    try:
        is_valid = encoded != secret and bool(base64.b64decode(encoded, validate=True))
    except binascii.Error:
        is_valid = False
    if not is_valid:
        raise ValueError
    return secret


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


_WebhookUrl = Annotated[str, Field(pattern=r"^https?://[^/?#\s:]+")]
_Url = Annotated[_WebhookUrl, AfterValidator(lambda url: url.rstrip("/"))]
_WebhookSecret = Annotated[str, AfterValidator(_check_secret)]
_Split = BeforeValidator(_split)
_PlatformKeys = Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z]{4}$")], ...], _Split]
_SourceTypes = Annotated[tuple[Annotated[str, Field(pattern=r"^[A-Za-z]+$")], ...], _Split, Field(min_length=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(alias_generator=str.upper, validate_by_name=True))
class LocalSettings:
    """A field that is a variable of the functions replaces its value in the template, unless it is None."""

    # None starts the Codat simulator.
    codat_base_url: _Url | None = None
    codat_api_key: str
    # The Codat simulator signs with the first.
    webhook_secrets: Annotated[
        tuple[_WebhookSecret, ...], _Split, Field(validation_alias="CODAT_WEBHOOK_SECRETS", min_length=1)
    ]
    own_webhook_secrets: bool = False
    # None is moto.
    dynamodb_endpoint: Annotated[_Url | None, Field(validation_alias="AWS_ENDPOINT_URL_DYNAMODB")] = None
    # ADOPT_STRAYS is the variable's former name.
    adopt_orphans: Annotated[bool | None, Field(validation_alias=AliasChoices("ADOPT_ORPHANS", "ADOPT_STRAYS"))] = None
    # None posts no events.
    app_webhook_url: _WebhookUrl | None = None
    app_webhook_key: Annotated[str, Field(pattern=r"^[!-~]+$")] = "local-key"
    platform_keys: _PlatformKeys | None = None
    source_types: _SourceTypes | None = None
    # The look of an invitation's page.
    app_name: Annotated[str | None, Field(pattern=r"^[^<>\t\r\n]{1,60}\z")] = None
    app_accent_color: Annotated[str | None, Field(pattern=r"^#[0-9A-Fa-f]{6}\z")] = None
    app_logo_url: Annotated[str | None, Field(pattern=r"^(https://|data:image/)[!#-~]+\z")] = None
    show_platform_logos: bool | None = None
    # The Codat simulator's setting.
    one_time_links: bool = False
    port: Annotated[int, Field(ge=0, le=65534)] = 3000

    @property
    def codat_port(self) -> int:
        """The Codat simulator's port: the next one, or any free port."""
        return self.port and self.port + 1

    def variables(self) -> dict[str, str]:
        """Return the fields that have a value as environment variables, by their names in upper case."""
        return {name.upper(): _text(value) for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> LocalSettings:
        """Read the variables; an empty one counts as unset. Raises SettingsError."""
        names = ("CODAT_API_KEY", *_EXPECTED)
        variables: dict[str, Any] = {name: text for name in names if (text := environment.get(name, "").strip())}
        if "CODAT_BASE_URL" in variables and "CODAT_API_KEY" not in variables:
            raise SettingsError("CODAT_BASE_URL is set, so CODAT_API_KEY must be set, too: the key for that Codat")
        variables["own_webhook_secrets"] = "CODAT_WEBHOOK_SECRETS" in variables
        variables.setdefault("CODAT_API_KEY", f"local-{secrets.token_hex(16)}")
        variables.setdefault("CODAT_WEBHOOK_SECRETS", new_webhook_secret())
        try:
            return TypeAdapter(cls).validate_python(variables)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            raise SettingsError(f"{name} must be {_EXPECTED[name]}") from None
