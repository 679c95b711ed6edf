"""Connections, and the rule that turns Codat's reports into their state.

Codat reports a connection in three ways: webhooks (at least once, in any order), responses to our changes, and
responses to our reads. Every such `StatusUpdate` has a stamp, `time#precedence#id`, on Codat's clock. A connection is a
last-writer-wins register over these updates. Status and error are separate registers, because `connection.failed`
contains an error and no status. So the state depends on the set of updates, not on their order or repetition.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import NewType

from shared.domain.initial_reads import MAX_KEPT, NO_EVIDENCE, InitialRead, ReadEvidence
from shared.domain.timestamps import Timestamp, just_after

Stamp = NewType("Stamp", str)
"""Sorts as text: the time has a fixed width, and the precedence one digit."""

NO_STAMP = Stamp("")


class Precedence(IntEnum):
    """The order of updates with equal times: without it, the order of arrival would decide."""

    READ = 0
    OUR_CHANGE = 1
    EVENT = 2


class Status(StrEnum):
    """Codat's four statuses, and Deleted."""

    PENDING_AUTH = "PendingAuth"
    LINKED = "Linked"
    UNLINKED = "Unlinked"
    DEAUTHORIZED = "Deauthorized"
    DELETED = "Deleted"


SEVERED = frozenset({Status.UNLINKED, Status.DEAUTHORIZED})


class NextAction(StrEnum):
    AUTHORIZE = "authorize"
    RECONNECT = "reconnect"
    INSTALL_CONNECTOR = "install-connector"
    NONE = "none"


def stamp(when: Timestamp, precedence: Precedence, identity: str = "") -> Stamp:
    """Return a stamp; without an identity, that of an answer before it is compared with the stored state."""
    return Stamp(f"{when}#{int(precedence)}#{identity}")


def time_of(stamped: Stamp) -> Timestamp:
    return Timestamp(stamped.partition("#")[0])


@dataclass(frozen=True, slots=True)
class Source:
    """The other end of a connection. It does not change."""

    platform_key: str
    """Empty if Codat omits it, as its contract allows."""
    platform_name: str
    source_type: str


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """Codat's report about one connection at one moment: as Codat returned it, or sent it in an event."""

    stamp: Stamp
    company_id: str
    connection_id: str
    source: Source
    created_at: Timestamp
    status: Status | None
    """None if the update contains no status (`connection.failed`)."""
    error: str | None = field(default=None, repr=False)
    last_sync: Timestamp | None = None
    link_url: str = field(default="", repr=False)
    """A one-time credential: returned to the caller, but not stored or logged. Empty if the report has none."""

    @property
    def event_id(self) -> str:
        return self.stamp.split("#", 2)[2]

    @property
    def precedence(self) -> Precedence:
        return Precedence(int(self.stamp.split("#", 2)[1]))

    def differs_from(self, connection: "Connection") -> bool:
        """Return whether the app would see a difference, apart from a newer sync."""
        error_differs = self.status is not Status.LINKED and self.error not in {None, connection.reported_error}
        names_platform = bool(self.source.platform_key) and not connection.source.platform_key
        return self.status is not connection.status or error_differs or names_platform

    def has_newer_sync(self, connection: "Connection") -> bool:
        return (self.last_sync or "") > (connection.last_sync or "")


@dataclass(frozen=True, slots=True)
class ConnectionList:
    """Codat's list of a company's connections."""

    updates: Sequence[StatusUpdate]
    unparseable: Sequence[tuple[str, Source]] = ()
    """The ids and sources of the connections that can't be parsed; what can't be read is empty."""


@dataclass(frozen=True, slots=True)
class Connection:
    company_id: str
    connection_id: str
    source: Source
    created_at: Timestamp
    updated_at: Timestamp
    """On our clock."""
    status: Status
    customer_id: str = ""
    """Empty in a tombstone."""
    status_stamp: Stamp = NO_STAMP
    reported_error: str | None = field(default=None, repr=False)
    error_stamp: Stamp = NO_STAMP
    last_update_stamp: Stamp = NO_STAMP
    """The newest update of any kind."""
    last_sync: Timestamp | None = None
    linked_event_at: Timestamp | None = None
    """The newest webhook with the status Linked."""
    linked_read_at: Timestamp | None = None
    """The newest response from Codat with the status Linked."""
    severances: tuple[Timestamp, ...] = ()
    """The newest few updates with the status Unlinked or Deauthorized, in order."""
    evidence: ReadEvidence = NO_EVIDENCE
    needs_connector: bool = False
    """Whether its platform needs one, as `Platform.needs_connector` says."""
    link_issued_at: Timestamp | None = None
    """When the app last received a link, on our clock."""
    abandoned_at: Timestamp | None = None
    """When the link was reported as unused. A new link or another status resets it."""
    is_tombstone: bool = False
    """True after the deletion of its company: no update changes it any more."""
    version: int = 0
    """0 before the first write. Starts at the millisecond of that write and grows with every write."""

    @property
    def is_placeholder(self) -> bool:
        """True if only an initial read was reported so far: stored, but not visible."""
        return self.last_update_stamp == NO_STAMP

    @property
    def as_of(self) -> Timestamp:
        """The time of the reported state, on Codat's clock."""
        return time_of(self.status_stamp if self.is_deleted else max(self.status_stamp, self.error_stamp))

    @property
    def linked_at(self) -> Timestamp | None:
        """When the connection last became Linked, on Codat's clock; None before.

        If the webhook was lost, a lower bound: the last severance before it, or the creation.
        """
        last_linked = max(self.linked_event_at or "", self.linked_read_at or "")
        if not last_linked:
            return None
        severed_at = max((severed for severed in self.severances if severed < last_linked), default=None)
        if self.linked_event_at is not None and self.linked_event_at >= (severed_at or ""):
            return self.linked_event_at
        return severed_at or self.created_at

    @property
    def initial_read_at(self) -> Timestamp | None:
        """When the first read after `linked_at` completed, so that the app can use the data."""
        return self.evidence.initial_read_at(self.linked_at)

    @property
    def initial_read_issues(self) -> tuple[tuple[str, str], ...]:
        """The data types that could not be read, each with Codat's status."""
        return self.evidence.issues(self.linked_at)

    @property
    def error(self) -> str | None:
        """The reason why the connection does not work, in words for a person."""
        name, error = self.source.platform_name, self.reported_error
        match self.status:
            case Status.PENDING_AUTH:
                if error is None and self.abandoned_at is not None:
                    error = f"The link to {name} was not used in time. Ask for a new one."
                if error and self.needs_connector:
                    error += f" {name} needs its connector: install it on the computer that {name} runs on."
                return error
            case Status.UNLINKED:
                return error
            case Status.DEAUTHORIZED:
                return error or f"{name} no longer allows access: it was revoked there, or has expired. Connect again."
            case _:
                return None

    @property
    def next_action(self) -> NextAction:
        if self.status is Status.PENDING_AUTH:
            return NextAction.INSTALL_CONNECTOR if self.needs_connector else NextAction.AUTHORIZE
        return NextAction.RECONNECT if self.status in SEVERED else NextAction.NONE

    @property
    def needs_attention(self) -> bool:
        """Return whether a person has to act, apart from the first use of a fresh link."""
        waits_for_person = self.next_action in {NextAction.RECONNECT, NextAction.INSTALL_CONNECTOR}
        is_abandoned = self.status is Status.PENDING_AUTH and self.abandoned_at is not None
        read_failed = self.status is Status.LINKED and bool(self.initial_read_issues)
        return not self.is_placeholder and (waits_for_person or is_abandoned or read_failed)

    @property
    def is_deleted(self) -> bool:
        return self.status is Status.DELETED


def placeholder(company_id: str, connection_id: str, customer_id: str, now: Timestamp) -> Connection:
    """Return a connection before its first update."""
    return Connection(
        company_id=company_id,
        connection_id=connection_id,
        customer_id=customer_id,
        source=Source("", "", ""),
        created_at=now,
        updated_at=now,
        status=Status.PENDING_AUTH,
    )


def merge(connection: Connection, update: StatusUpdate, now: Timestamp) -> Connection:
    """Return the connection after `update`, or `connection` itself if the update has no effect."""
    merged = connection
    # The newer status wins. A deletion is final: only a newer deletion replaces it.
    rank = update.status is Status.DELETED, update.stamp
    if update.status is not None and rank > (connection.is_deleted, connection.status_stamp):
        abandoned_at = connection.abandoned_at if update.status is connection.status else None
        merged = replace(merged, status=update.status, status_stamp=update.stamp, abandoned_at=abandoned_at)
    contains_error = update.error is not None or update.status is Status.LINKED
    if contains_error and update.stamp > connection.error_stamp:
        error = None if update.status is Status.LINKED else update.error
        merged = replace(merged, reported_error=error, error_stamp=update.stamp)
    newer = update.stamp > connection.last_update_stamp
    if newer:
        merged = replace(merged, created_at=update.created_at, last_update_stamp=update.stamp)
    # The platform does not change, and some updates omit its key: a stored key stays.
    has_key, had_key = bool(update.source.platform_key), bool(connection.source.platform_key)
    if (has_key and not had_key) or (newer and has_key == had_key):
        merged = replace(merged, source=update.source)
    return _pruned_if_changed(connection, _with_times(merged, update), now)


def with_initial_read(connection: Connection, now: Timestamp, *, read: InitialRead) -> Connection:
    """Return the connection with an initial read, or `connection` itself if it contains the read already."""
    evidence = replace(connection.evidence, reads=tuple(sorted({*connection.evidence.reads, read})))
    return _pruned_if_changed(connection, replace(connection, evidence=evidence), now)


def with_issued_link(connection: Connection, now: Timestamp) -> Connection:
    """Return the connection after the app received a new link, which is not abandoned."""
    if connection.is_deleted:
        return connection
    return replace(connection, link_issued_at=now, abandoned_at=None, updated_at=now)


def with_connector(connection: Connection, now: Timestamp) -> Connection:
    """Return the connection with the fact that its platform needs a connector."""
    if connection.needs_connector:
        return connection
    return replace(connection, needs_connector=True, updated_at=now)


def with_abandoned_link(connection: Connection, now: Timestamp, *, before: Timestamp) -> Connection:
    """Mark the connection as abandoned if it waits for its authorisation, and its newest link is older than `before`.

    Without a link its creation counts. Return `connection` itself if it is marked already. The app gets one event.
    """
    waiting_since = max(connection.created_at, connection.link_issued_at or connection.created_at)
    is_waiting = connection.status is Status.PENDING_AUTH and not connection.is_placeholder
    if not is_waiting or waiting_since >= before or connection.abandoned_at is not None:
        return connection
    return replace(connection, abandoned_at=now, updated_at=now)


def stamp_answer(answer: StatusUpdate, connection: Connection | None, identity: str) -> StatusUpdate:
    """Return Codat's answer to a request that was sent when `connection` was the state, with its final stamp.

    The answer is newer than that state, so its stamp is at least just above it. The `Date` header has whole seconds:
    without this floor, an unlink would be older than a link in the same second.
    """
    answered_at = time_of(answer.stamp)
    if connection is not None and not connection.is_placeholder:
        answered_at = max(answered_at, just_after(time_of(connection.last_update_stamp)))
    return replace(answer, stamp=stamp(answered_at, answer.precedence, identity))


def _with_times(connection: Connection, update: StatusUpdate) -> Connection:
    """Raise the times that the update confirms. Each is a maximum, so that late updates count too."""
    when = time_of(update.stamp)
    if update.status is Status.LINKED and update.precedence is Precedence.EVENT:
        connection = replace(connection, linked_event_at=max(connection.linked_event_at or when, when))
    elif update.status is Status.LINKED:
        connection = replace(connection, linked_read_at=max(connection.linked_read_at or when, when))
    elif update.status in SEVERED:
        connection = replace(connection, severances=tuple(sorted({*connection.severances, when})[-MAX_KEPT:]))
    if update.last_sync is not None:
        last_sync = max(connection.last_sync or update.last_sync, update.last_sync)
        evidence = replace(connection.evidence, syncs=tuple(sorted({*connection.evidence.syncs, update.last_sync})))
        connection = replace(connection, last_sync=last_sync, evidence=evidence)
    return connection


def _pruned_if_changed(before: Connection, after: Connection, now: Timestamp) -> Connection:
    """Drop the evidence from before the newest authorisation: `linked_at` can't be earlier than that."""
    evidence = after.evidence.since(after.linked_event_at).thinned(max(after.severances, default=None))
    after = replace(after, evidence=evidence)
    return before if after == before else replace(after, updated_at=now)
