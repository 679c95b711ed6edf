"""Requests with the limits of Codat's OpenAPI files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from codat_simulator.errors import from_validation_error
from codat_simulator.settings import Url

MAX_API_KEY_NAME = 50

_FORBIDDEN = re.compile(r"[^A-Za-z0-9\s\-',&@.,?!]")


def _strip_name(name: str) -> str:
    """Remove forbidden characters, as Codat does without an error."""
    name = _FORBIDDEN.sub("", name)
    if not name.strip():
        raise PydanticCustomError("name", "The name contains no allowed character.")
    return name


Name = Annotated[str, AfterValidator(_strip_name)]
TagKey = Annotated[str, Field(min_length=1, max_length=27)]
TagValue = Annotated[str, Field(max_length=100)]
Tags = Annotated[dict[TagKey, TagValue], Field(max_length=10)]
CompanyTag = Annotated[str, Field(max_length=128, pattern=":")]


class RequestModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class CompanyUpdate(RequestModel):
    """Null keeps the current value. An empty `tags` object removes the tags."""

    name: Name | None = None
    description: str | None = None
    tags: Tags | None = None


class CompanyRequest(CompanyUpdate):
    name: Name


class ConnectionRequest(RequestModel):
    platform_key: str


class ConnectionUpdate(RequestModel):
    status: Literal["Unlinked"]


class ApiKeyRequest(RequestModel):
    name: str | None = None


class CorsSettings(RequestModel):
    allowed_origins: list[Url] = []


class ConsumerRequest(RequestModel):
    url: Url
    event_types: list[str] | None = None
    company_tags: Annotated[list[CompanyTag], Field(max_length=10)] | None = None
    disabled: bool | None = None


class PageQuery(RequestModel):
    page: int = Field(default=1, ge=1, le=999_999_999)
    page_size: int = Field(default=100, ge=1, le=5_000)


Model = TypeVar("Model", bound=RequestModel)


@dataclass(frozen=True)
class ApiRequest:
    """`params` are the parameters in the path."""

    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    def parse_body(self, model: type[Model]) -> Model:
        """Raise an ApiError (400) if the body doesn't fit the model."""
        try:
            return model.model_validate_json(self.body, strict=True)
        except ValidationError as error:
            raise from_validation_error(error) from None

    def parse_page(self) -> PageQuery:
        try:
            return PageQuery.model_validate(self.query)
        except ValidationError as error:
            raise from_validation_error(error) from None
