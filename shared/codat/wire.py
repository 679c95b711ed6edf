"""The parts of Codat's documents that we read.

Unknown fields are ignored, because Codat adds some. A wrong type is rejected: a guess would end up in the table. Times
are converted to timestamps.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.domain.connection_errors import error_text
from shared.domain.connections import Source, Stamp, Status, StatusUpdate
from shared.domain.platforms import Platform
from shared.domain.timestamps import Timestamp, timestamp

MAX_SUMMARY = 500
_DOCUMENTED_STATUS_CODES = {402: 429, 503: 500}
"""`statusCode` in Codat's own examples of these responses."""

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
"""Codat's ids are GUIDs. The pattern excludes characters with a meaning in a key or a path."""
Name = Annotated[str, Field(max_length=200)]
"""The limit keeps ten change events far below the 256 KB that EventBridge accepts in one call."""
MAX_LOGO_URL = 500
"""A longer one is left out: DynamoDB limits the item with all platforms to 400 KB."""
DataTypeName = Annotated[str, Field(max_length=100)]
Time = Annotated[Timestamp, AfterValidator(timestamp)]


def summarize(error: ValidationError) -> str:
    """Return the places and kinds of the errors without the content, which may be personal data, also in tag keys."""
    lines = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    return "; ".join(f"{_location(line['loc'])}: {line['type']}" for line in lines)[:MAX_SUMMARY]


def _location(loc: tuple[int | str, ...]) -> str:
    keys = [str(part) for part in loc]
    named = keys[: keys.index("tags") + 1] if "tags" in keys else keys
    return ".".join(named) or "body"


class Wire(BaseModel):
    # Errors and reprs end up in logs, and a document may contain a link URL.
    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, alias_generator=to_camel, hide_input_in_errors=True
    )

    def __repr_args__(self) -> Sequence[tuple[str | None, Any]]:
        return ()


Model = TypeVar("Model", bound=Wire)


class DataConnectionError(Wire):
    status_code: str | None = None
    status_text: str | None = None
    error_message: str | None = None
    errored_on_utc: Time | None = None
    status: str | None = None


class DataConnection(Wire):
    id: Identifier
    integration_key: Name | None = None
    platform_name: Name
    source_type: Name
    status: Literal["PendingAuth", "Linked", "Unlinked", "Deauthorized"]
    created: Time
    last_sync: Time | None = None
    data_connection_errors: list[DataConnectionError] | None = None

    def update(self, company_id: str, stamped: Stamp, link_url: str = "") -> StatusUpdate:
        return StatusUpdate(
            stamp=stamped,
            company_id=company_id,
            connection_id=self.id,
            source=Source(self.integration_key or "", self.platform_name, self.source_type),
            created_at=self.created,
            status=Status(self.status),
            error=self._error(),
            last_sync=self.last_sync,
            link_url=link_url,
        )

    def _error(self) -> str | None:
        """Return the newest active error, in words."""
        reported = [error for error in self.data_connection_errors or [] if error.status != "Resolved"]
        errors = [error for error in reported if error.error_message or error.status_text or error.status_code]
        if not errors:
            return None
        newest = max(errors, key=lambda error: error.errored_on_utc or "")
        return error_text([newest.error_message, newest.status_text], newest.status_code, self.platform_name)


class LinkableConnection(DataConnection):
    link_url: str


class Page(Wire):
    """A page of a list. Its entries are parsed separately, so that an invalid one does not hide the others."""

    results: list[Any] = []
    page_size: int | None = None
    total_results: int


class CompanyId(Wire):
    id: Identifier


class TaggedCompany(CompanyId):
    tags: dict[str, str] | None = None


class Company(TaggedCompany):
    name: str = ""
    description: str | None = None
    redirect: str | None = None
    created: Time | None = None
    data_connections: list[Any] | None = None


class AccessToken(Wire):
    access_token: str
    expires_in: int
    token_type: str


class Integration(Wire):
    key: Identifier
    name: Name
    logo_url: str | None = None
    enabled: bool
    source_type: Name | None = None
    is_offline_connector: bool | None = None
    is_beta: bool | None = None

    def platform(self) -> Platform:
        return Platform(
            key=self.key,
            name=self.name,
            source_type=self.source_type or "Unknown",
            logo_url=self.logo_url if self.logo_url and len(self.logo_url) <= MAX_LOGO_URL else "",
            needs_connector=bool(self.is_offline_connector),
            beta=bool(self.is_beta),
        )


class ApiKey(Wire):
    api_key: str


class ApiKeys(Wire):
    results: list[Any] = []


class ErrorMessage(Wire):
    status_code: int | None = None
    service: str | None = None
    error: str | None = None
    correlation_id: str | None = None

    def is_codats(self, status: int) -> bool:
        """Return whether Codat itself sent the document, and not a gateway in front of it.

        See https://docs.codat.io/platform-api#/schemas/ErrorMessage.
        """
        is_of_status = self.status_code in {status, _DOCUMENTED_STATUS_CODES.get(status, status)}
        return is_of_status and bool(self.correlation_id or (self.service and self.error))


class Envelope(Wire):
    id: Identifier
    event_type: Annotated[str, Field(min_length=1, max_length=200)]
    generated_date: Time
    payload: Any = None


class DataTypeRead(Wire):
    connection_id: Identifier | None = None
    data_type: DataTypeName = ""
    status: DataTypeName | None = None

    @property
    def failed(self) -> bool:
        """Return whether the data could not be read. A type that the platform doesn't have is no failure.

        See https://docs.codat.io/platform-api#/schemas/PullOperation for the statuses.
        """
        return self.status not in {None, "Complete", "NotSupported"}


class InitialReadPayload(Wire):
    reference_company: CompanyId
    data_types: list[DataTypeRead]


class ConnectionPayload(Wire):
    reference_company: CompanyId
    connection: DataConnection


def identity_of(document: Any) -> tuple[str, Source]:
    """Return the id and source of a connection that can't be parsed; a field that is not text becomes empty."""
    fields = document if isinstance(document, dict) else {}
    values = (fields.get(name) for name in ("id", "integrationKey", "platformName", "sourceType"))
    connection_id, *source = (value if isinstance(value, str) else "" for value in values)
    return connection_id, Source(*source)
