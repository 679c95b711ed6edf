"""What a function is told by its environment: typed, read on first use, and never guessed."""

import os
from functools import cache
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


_Settings = TypeVar("_Settings", bound=BaseModel)
_Listed = Annotated[tuple[str, ...], BeforeValidator(_split), Field(min_length=1)]


# The environment holds the function's AWS credentials: no error may show it.
_READING = ConfigDict(frozen=True, alias_generator=str.upper, extra="ignore", hide_input_in_errors=True)


class Settings(BaseModel):
    """None has a default: a deployment that lacks one fails with its name, instead of using a wrong table."""

    model_config = _READING

    table_name: Annotated[str, Field(min_length=1)]
    codat_secret_id: Annotated[str, Field(min_length=1)]
    codat_base_url: Annotated[str, Field(pattern=r"^https?://")]
    codat_tag_key: Annotated[str, Field(min_length=1, max_length=27)]
    platform_keys: _Listed
    allow_sandbox: bool
    timeline_days: Annotated[int, Field(gt=0)]


class ChangesSettings(BaseModel):
    """Of the function that tells the app."""

    model_config = _READING

    event_bus_name: Annotated[str, Field(min_length=1)]


class PlanSettings(BaseModel):
    """Of the function that plans a reconcile."""

    model_config = _READING

    reconcile_queue_url: Annotated[str, Field(min_length=1)]


class ReconcileSettings(BaseModel):
    """Of the function that does its parts."""

    model_config = _READING

    adopt_orphans: bool
    abandoned_after_days: Annotated[int, Field(gt=0)]


class MisconfiguredError(Exception):
    """Names the environment variables that are missing or wrong."""


def settings() -> Settings:
    loaded: Settings = read(Settings)
    return loaded


@cache
def read(model: type[_Settings]) -> _Settings:
    """Raises MisconfiguredError."""
    try:
        return model.model_validate(os.environ)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, line['loc']))}: {line['msg']}" for line in error.errors())
        raise MisconfiguredError(f"environment: {wrong}") from error
