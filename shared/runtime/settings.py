"""Typed settings from the environment, read on first use."""

import os
from functools import cache
from ipaddress import IPv4Network
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _ranges(text: str) -> tuple[IPv4Network, ...]:
    """Parse CIDR ranges. Address bits beyond the prefix are ignored, as the template's pattern can't exclude them."""
    return tuple(IPv4Network(part, strict=False) for part in _split(text))


_Settings = TypeVar("_Settings", bound=BaseModel)
_Listed = Annotated[tuple[str, ...], BeforeValidator(_split), Field(min_length=1)]
_Text = Annotated[str, Field(min_length=1)]
_Positive = Annotated[int, Field(gt=0)]


class _Environment(BaseModel):
    """No setting has a default: if a variable is missing, the error contains its name."""

    # The environment contains the function's AWS credentials, so errors must not quote it.
    model_config = ConfigDict(frozen=True, alias_generator=str.upper, extra="ignore", hide_input_in_errors=True)


class Settings(_Environment):
    table_name: _Text
    codat_secret_id: _Text
    codat_base_url: Annotated[str, Field(pattern=r"^https?://")]
    codat_tag_key: Annotated[str, Field(min_length=1, max_length=27)]
    platform_keys: Annotated[tuple[str, ...], BeforeValidator(_split)]
    """All platforms if it is empty."""
    source_types: _Listed
    allow_sandbox: bool
    timeline_days: _Positive


class WebhookSettings(_Environment):
    webhook_source_ranges: Annotated[tuple[IPv4Network, ...], BeforeValidator(_ranges)]
    """Addresses that may send webhooks; all of them if it is empty."""


class PageSettings(_Environment):
    """How the page of an invitation looks."""

    app_name: _Text
    app_accent_color: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}\z")]
    app_logo_url: Annotated[str, Field(pattern=r"^((https://|data:image/)[!#-~]+)?\z")]
    """Empty for none."""
    show_platform_logos: bool


class ChangesSettings(_Environment):
    event_bus_name: _Text


class PlanSettings(_Environment):
    reconcile_queue_url: _Text


class ReconcileSettings(_Environment):
    adopt_orphans: bool
    abandoned_after_days: _Positive


class MisconfiguredError(Exception):
    """The message contains the environment variables that are missing or invalid."""


def settings() -> Settings:
    loaded: Settings = read(Settings)
    return loaded


@cache
def read(model: type[_Settings]) -> _Settings:
    """Raises MisconfiguredError."""
    try:
        return model.model_validate(os.environ)
    except ValidationError as error:
        invalid = "; ".join(f"{'.'.join(map(str, line['loc']))}: {line['msg']}" for line in error.errors())
        raise MisconfiguredError(f"environment: {invalid}") from error
