"""What Codat sends, as far as it is read here.

Unknown fields are ignored, since Codat adds some; a wrong type is refused, since a guess would end up in the table.
Times may come in any of Codat's forms and leave in one.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.domain.connections import Source, Status
from shared.domain.instants import Instant, instant
from shared.domain.reasons import in_words

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
"""Codat's ids are GUIDs. Nothing that means something in a key or a path may pass."""

_LONGEST_NAME = 200
"""So that ten announcements together stay far below the 256 KB that EventBridge takes in one call."""

_MOST_WORDS = 500


def what_was_wrong(error: ValidationError) -> str:
    """Where, and of what kind, never what: an answer or a webhook may hold personal data, in the keys of tags too."""
    lines = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    return "; ".join(f"{_place(line['loc'])}: {line['type']}" for line in lines)[:_MOST_WORDS]


def _place(loc: tuple[int | str, ...]) -> str:
    keys = [str(part) for part in loc]
    named = keys[: keys.index("tags") + 1] if "tags" in keys else keys
    return ".".join(named) or "body"


Time = Annotated[str, AfterValidator(instant)]


class Wire(BaseModel):
    # An error that is logged must not show what was sent: it may be a link URL.
    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, alias_generator=to_camel, hide_input_in_errors=True
    )

    def __repr_args__(self) -> Sequence[tuple[str | None, Any]]:
        """Nor may a message that quotes the thing itself."""
        return ()


class DataConnectionError(Wire):
    status_code: str | None = None
    status_text: str | None = None
    error_message: str | None = None
    errored_on_utc: Time | None = None
    status: str | None = None

    @property
    def still_holds(self) -> bool:
        return self.status != "Resolved" and bool(self.error_message or self.status_text or self.status_code)


class DataConnection(Wire):
    id: Identifier
    integration_key: Annotated[str, Field(max_length=_LONGEST_NAME)] | None = None
    platform_name: Annotated[str, Field(max_length=_LONGEST_NAME)]
    source_type: Annotated[str, Field(max_length=_LONGEST_NAME)]
    status: Literal["PendingAuth", "Linked", "Unlinked", "Deauthorized"]
    created: Time
    last_sync: Time | None = None
    data_connection_errors: list[DataConnectionError] | None = None

    @property
    def source(self) -> Source:
        return Source(self.integration_key or "", self.platform_name, self.source_type)

    @property
    def known_status(self) -> Status:
        return Status(self.status)

    @property
    def created_at(self) -> Instant:
        return Instant(self.created)

    @property
    def synced_at(self) -> Instant | None:
        return Instant(self.last_sync) if self.last_sync else None

    @property
    def reason(self) -> str | None:
        """The newest error that still holds, in words."""
        errors = [error for error in self.data_connection_errors or [] if error.still_holds]
        if not errors:
            return None
        newest = max(errors, key=lambda error: error.errored_on_utc or "")
        return in_words([newest.error_message, newest.status_text], newest.status_code, self.platform_name)


class LinkableConnection(DataConnection):
    link_url: str


class Connections(Wire):
    results: list[DataConnection]
    total_results: int = 0


class Company(Wire):
    id: Identifier
    name: str = ""
    description: str | None = None
    redirect: str | None = None
    created: Time | None = None
    tags: dict[str, str] | None = None
    data_connections: list[DataConnection] | None = None


class AccessToken(Wire):
    access_token: str
    expires_in: int
    token_type: str


class Count(Wire):
    total_results: int


class Companies(Count):
    results: list[Company]


class ErrorMessage(Wire):
    error: str | None = None
    correlation_id: str | None = None


class Envelope(Wire):
    id: Identifier
    event_type: Annotated[str, Field(min_length=1, max_length=200)]
    generated_date: Time
    payload: Any = None


class ReferenceCompany(Wire):
    id: Identifier
    tags: dict[str, str] | None = None


class DataType(Wire):
    connection_id: Identifier


class InitialReadPayload(Wire):
    reference_company: ReferenceCompany
    data_types: list[DataType]


class ConnectionPayload(Wire):
    reference_company: ReferenceCompany
    connection: DataConnection
