"""The bodies of answers and change events. A pytest plugin validates every real one against these models."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.domain.connections import NextAction, Status
from shared.domain.timeline import CALLER, INVITATION, RECONCILE, WEBHOOK

TIMESTAMP = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{7}Z$"

Timestamp = Annotated[str, Field(pattern=TIMESTAMP, json_schema_extra={"format": "date-time"})]
Url = Annotated[str, Field(json_schema_extra={"format": "uri"})]
Version = Annotated[int, Field(ge=1, json_schema_extra={"format": "int64"})]


class Document(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class InitialReadIssue(Document):
    """A data type that Codat could not read."""

    data_type: str
    status: str


class ConnectionState(Document):
    connection_id: str
    customer_id: str
    company_id: str
    platform_key: str
    platform_name: str
    status: Status
    next_action: NextAction
    error: str | None
    last_sync: Timestamp | None
    linked_at: Timestamp | None
    initial_read_at: Timestamp | None
    initial_read_issues: list[InitialReadIssue]
    as_of: Timestamp


class Connection(ConnectionState):
    """A customer's connection to a platform."""

    source_type: str
    created_at: Timestamp
    updated_at: Timestamp


class ConnectionWithLink(Connection):
    """A connection, and a fresh link with which the customer authorises it."""

    link_url: Url


class Customer(Document):
    """A customer with its Codat company and its connections, without deleted ones."""

    customer_id: str
    company_id: str
    name: str
    description: str | None
    tags: dict[str, str]
    created_at: Timestamp
    updated_at: Timestamp
    connections: list[Connection]


class CustomerList(Document):
    """A page of the customers."""

    customers: list[Customer]
    cursor: str | None


class ConnectionsOfCustomer(Document):
    """A customer's connections, without deleted ones."""

    connections: list[Connection]


class ConnectionList(Document):
    """A page of connections."""

    connections: list[Connection]
    cursor: str | None


class TimelineEntry(Document):
    """Something that happened to a connection."""

    event_id: str
    event_type: str
    at: Timestamp
    actor: Literal["caller", "invitation", "webhook", "reconcile"]
    actor_id: str | None
    webhook_id: str | None
    previous_status: Status | None
    status: Status
    error: str | None
    applied: bool


# A Literal takes no constants.
assert {CALLER, INVITATION, WEBHOOK, RECONCILE} == {"caller", "invitation", "webhook", "reconcile"}  # noqa: S101


class Timeline(Document):
    """A page of a connection's timeline, newest first."""

    events: list[TimelineEntry]
    cursor: str | None


class Link(Document):
    """A one-time link to Codat's page."""

    link_url: Url
    issued_at: Timestamp


class AccessToken(Document):
    """A token for Codat's embedded Link component."""

    access_token: str
    expires_in: int
    token_type: str


class Platform(Document):
    """A platform that a customer can connect."""

    platform_key: str
    platform_name: str
    source_type: str
    logo_url: str
    needs_connector: bool
    beta: bool


class PlatformList(Document):
    """The available platforms."""

    platforms: list[Platform]


class Invitation(Document):
    """An open invitation."""

    invitation_id: str
    platform_key: str | None
    created_at: Timestamp
    expires_at: Timestamp


class CreatedInvitation(Invitation):
    """A new invitation with its URL, which can't be read again."""

    url: Url


class InvitationList(Document):
    """A customer's open invitations, oldest first."""

    invitations: list[Invitation]


class Message(Document):
    """An answer of API Gateway itself."""

    message: str


class FieldError(Document):
    """A field or query parameter to correct."""

    field: str
    detail: str


class PlatformName(Document):
    """A platform that is available."""

    platform_key: str
    platform_name: str


# Change events: the detail of each type.


class Changed(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class CustomerChanged(Changed):
    customer_id: str
    company_id: str
    version: Version
    event_id: str


class ConnectionChanged(ConnectionState):
    model_config = ConfigDict(extra="forbid")

    previous_status: Status | None
    version: Version
    event_id: str


class CustomerCreated(CustomerChanged):
    """A customer has its Codat company, by creation or adoption."""


class CustomerUpdated(CustomerChanged):
    """A customer's name, description or tags changed."""


class CustomerDeleted(CustomerChanged):
    """A customer and its company are gone; a later customer of the same id has higher versions."""


class ConnectionCreated(ConnectionChanged):
    """A connection is stored for the first time."""

    previous_status: None


class ConnectionUpdated(ConnectionChanged):
    """Something that an app can see changed: the status, the next action, the error, a sync."""

    status: Literal[Status.PENDING_AUTH, Status.LINKED, Status.UNLINKED, Status.DEAUTHORIZED]


class ConnectionDeleted(ConnectionChanged):
    """A connection was deleted; it does not come back."""

    status: Literal[Status.DELETED]


class ConnectionAbandoned(ConnectionChanged):
    """The customer left the link unused for `AbandonedAfterDays`; sent once, until the status changes."""

    status: Literal[Status.PENDING_AUTH]


CHANGE_EVENTS: dict[str, type[BaseModel]] = {
    "customer.created": CustomerCreated,
    "customer.updated": CustomerUpdated,
    "customer.deleted": CustomerDeleted,
    "connection.created": ConnectionCreated,
    "connection.updated": ConnectionUpdated,
    "connection.deleted": ConnectionDeleted,
    "connection.abandoned": ConnectionAbandoned,
}
"""The detail of each change event, by its type."""


def summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip()
