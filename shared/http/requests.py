"""Request bodies and their limits.

Messages quote the patterns, so these are valid in JavaScript, too. Here `$` matches at the very end only.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic.alias_generators import to_camel

from shared.domain.customers import CREATION_TAG, CUSTOMER_ID, MAX_TAGS, Profile, is_printable, normalize_company_id
from shared.domain.invitations import DEFAULT_DAYS, MAX_DAYS


class Body(BaseModel):
    """A request body. Unknown fields are rejected: a misspelt optional field would otherwise have no effect."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True
    )

    def __repr_args__(self) -> Sequence[tuple[str | None, Any]]:
        """Hide all fields: personal data must not be logged."""
        return ()


def _printable(text: str) -> str:
    if not is_printable(text):
        raise ValueError("must contain printable characters only")
    return text


def _not_reserved(tags: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    # `Request.read` passes the key of the customer id's tag.
    for reserved in ((info.context or {}).get("tag_key"), CREATION_TAG):
        if reserved in tags:
            raise ValueError(f"'{reserved}' is set by this service; choose another key")
    return tags


_TagKey = Annotated[str, Field(min_length=1, max_length=27), AfterValidator(_printable)]
_TagValue = Annotated[str, Field(max_length=100), AfterValidator(_printable)]

PlatformKey = Annotated[str, Field(max_length=100)]
CustomerId = Annotated[str, Field(pattern=f"^{CUSTOMER_ID.pattern}$")]
CompanyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$"), AfterValidator(normalize_company_id)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Description = Annotated[str, Field(max_length=2000)]
Tags = Annotated[dict[_TagKey, _TagValue], Field(max_length=MAX_TAGS), AfterValidator(_not_reserved)]


class NewCustomer(Body):
    customer_id: CustomerId
    name: Name
    description: Description | None = None
    tags: Tags = Field(default_factory=dict)
    company_id: CompanyId | None = None

    @property
    def profile(self) -> Profile:
        return Profile(self.name, self.description or None, self.tags)


class ChangedCustomer(Body):
    """A change of the fields that were sent; their defaults are not used. `tags` replaces all tags."""

    name: Name = ""
    description: Description | None = None
    tags: Tags = Field(default_factory=dict)

    @property
    def changes(self) -> dict[str, Any]:
        changes = {name: getattr(self, name) for name in self.model_fields_set}
        if "description" in changes:
            changes["description"] = changes["description"] or None
        return changes


class NewConnection(Body):
    platform_key: PlatformKey


class NewInvitation(Body):
    platform_key: PlatformKey | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = DEFAULT_DAYS
